package acl

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Mask is a set of rights to a file.
type Mask uint32

const (
	deleteChild = 0x40 // FILE_DELETE_CHILD
	generic     = windows.GENERIC_ALL | windows.GENERIC_WRITE
	own         = windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER

	// Read lets somebody read a file.
	Read Mask = windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL
	// Change lets somebody change a file, or put another one in its place.
	Change Mask = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | own | generic
	// ChangeDir lets somebody exchange the files in a directory, or put one beside
	// them. Who makes a directory in it does neither.
	ChangeDir Mask = windows.FILE_WRITE_DATA | deleteChild | own | generic
)

// Types of entries that allow something, and whose layout is the one of them all.
const (
	allowed         = 0
	allowedCallback = 9
)

// trusted are those who can do everything anyway: the system, the administrators, what
// installs the system, and whoever owns the file, which is judged on its own.
var trusted = []string{
	"S-1-5-18", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464", "S-1-3-0", "S-1-3-4",
}

// Others returns who, besides us and those who can do everything anyway, has one of some
// rights to a file: "" for nobody.
func Others(path string, rights Mask) (who string, err error) {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("access control list of %s: %w", path, err)
	}
	list, _, err := sd.DACL()
	if err != nil || list == nil { // without a list everything is allowed
		return "everybody", nil //nolint:nilerr // the error says that there is no list
	}
	me, err := user()
	if err != nil {
		return "", err
	}
	for i := range uint32(list.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &ace); err != nil {
			return "", fmt.Errorf("access control list of %s: %w", path, err)
		}
		if sid := allows(ace, rights); sid != nil && !sid.Equals(me) && !isTrusted(sid) {
			return name(sid), nil
		}
	}
	return "", nil
}

// allows returns to whom an entry gives one of some rights.
func allows(ace *windows.ACCESS_ALLOWED_ACE, rights Mask) *windows.SID {
	if t := ace.Header.AceType; t != allowed && t != allowedCallback {
		return nil
	}
	if ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || Mask(ace.Mask)&rights == 0 {
		return nil
	}
	return (*windows.SID)(unsafe.Pointer(&ace.SidStart))
}

// Owner returns who owns a file, "" when that is us, or somebody who can do everything
// anyway.
func Owner(path string) (who string, err error) {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("owner of %s: %w", path, err)
	}
	sid, _, err := sd.Owner()
	if err != nil {
		return "", fmt.Errorf("owner of %s: %w", path, err)
	}
	me, err := user()
	if err != nil || sid.Equals(me) || isTrusted(sid) {
		return "", err
	}
	return name(sid), nil
}

// Close leaves a file or directory, and what will be in it, to us and the system alone.
func Close(path string) error {
	me, err := user()
	if err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;" + me.String() + ")(A;OICI;FA;;;SY)")
	if err != nil {
		return err
	}
	list, _, err := sd.DACL()
	if err == nil {
		err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
			windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	}
	if err != nil {
		return fmt.Errorf("close %s to others: %w", path, err)
	}
	return nil
}

// Fix is the command that does what [Close] does, for a path that is quoted.
func Fix(path string) string {
	return "icacls " + path + " /inheritance:r /grant:r %USERNAME%:F *S-1-5-18:F"
}

func user() (*windows.SID, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("our user: %w", err)
	}
	return u.User.Sid, nil
}

func isTrusted(sid *windows.SID) bool {
	s := sid.String()
	for _, t := range trusted {
		if s == t {
			return true
		}
	}
	return false
}

// name is that of an account, or its number where it has none any more.
func name(sid *windows.SID) string {
	account, domain, _, err := sid.LookupAccount("")
	if err != nil || account == "" {
		return sid.String()
	}
	if domain == "" {
		return account
	}
	return domain + `\` + account
}
