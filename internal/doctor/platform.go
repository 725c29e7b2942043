package doctor

import (
	"runtime"
	"slices"
	"strings"
)

// PlatformDetails are what the check "platform" found.
type PlatformDetails struct {
	System       string   `json:"system"`
	Architecture string   `json:"architecture"`
	Limits       []string `json:"limits,omitempty"` // what is not to be had on this system
}

// The limits of systems, as they are written in [PlatformDetails].
const (
	limitMeet    = "meet"
	limitReload  = "reload"
	limitKeyring = "keyring"
	limitNames   = "names"
	limitRename  = "rename"
	limitHoles   = "holes"
	limitService = "service"
)

// limitTexts say what a limit means, in the order in which they are told.
var limitTexts = []struct{ limit, text string }{
	{limitMeet, "another jetsend is not met in the middle, through two routers"},
	{limitReload, "no signal has a daemon read its configuration again"},
	{limitKeyring, "there is no keyring: passwords are kept in the configuration"},
	{limitNames, "the system does not tell whom to ask for names: without /etc/resolv.conf none is found"},
	{limitRename, "a name is taken by two steps where it must replace nothing"},
	{limitHoles, "the holes in a file are sent as zeros"},
	{limitService, "the service manager is not told that a daemon is ready"},
}

// limitsOf are what a system, as Go names it, does not have.
func limitsOf(system string) []string {
	switch system {
	case "linux":
		return nil
	case "darwin":
		return []string{limitService}
	case "android":
		return []string{limitKeyring, limitNames, limitService}
	case "freebsd":
		return []string{limitRename, limitService}
	case "netbsd", "openbsd":
		return []string{limitRename, limitHoles, limitService}
	case "windows":
		return []string{limitMeet, limitReload, limitHoles, limitService}
	}
	return []string{limitService}
}

// platformFinding names what this system does not have. It is never a warning: a send works
// without any of it.
func platformFinding(system, architecture string) Finding {
	limits := limitsOf(system)
	words := []string{system + "/" + architecture}
	for _, l := range limitTexts {
		if slices.Contains(limits, l.limit) {
			words = append(words, l.text)
		}
	}
	return Finding{
		Area: AreaMachine, Check: "platform", Status: StatusOK, Text: strings.Join(words, "; "),
		Details: PlatformDetails{System: system, Architecture: architecture, Limits: limits},
	}
}

func (d *doctor) platform() { d.found(platformFinding(runtime.GOOS, runtime.GOARCH)) }
