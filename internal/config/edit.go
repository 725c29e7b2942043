package config

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// header opens a file that login makes.
const header = `# jetsend configuration, written by "jetsend login" and yours to edit.
# All keys: jetsend help config
`

// SetAccount writes account a under name into the YAML file and keeps the rest
// of it, comments included. A field that a leaves empty stays as it was, except
// where the password is: that is replaced as a whole, or not at all with
// keepPassword. The first account of a file becomes its default_account. A
// missing file is made, its directory too; the result has mode 0600. A file with
// aliases is left as it is, and so is one that could not be used afterwards.
func SetAccount(file, name string, a Account, keepPassword bool) error {
	for _, s := range []string{name, a.JID, a.Password, a.PasswordFile, a.PasswordCommand, a.Server, a.TLSCAFile} {
		if !utf8.ValidString(s) {
			return &Error{Msg: "write the configuration: name, password or path of the account is not UTF-8"}
		}
	}
	doc, err := editable(file)
	if err != nil {
		return err
	}
	root := doc.Content[0]
	accounts, preset := lookup(root, "accounts"), lookup(root, "default_account")
	if (accounts == nil || len(accounts.Content) == 0) && (preset == nil || preset.Tag == "!!null") {
		set(root, "default_account", text(name))
	}
	entry := section(section(root, "accounts"), name)
	set(entry, "jid", text(a.JID))
	if !keepPassword {
		setPassword(entry, a)
	}
	if a.Server != "" {
		set(entry, "server", text(a.Server))
	}
	if a.TLSCAFile != "" {
		set(entry, "tls_ca_file", text(a.TLSCAFile))
	}
	return write(file, doc)
}

func setPassword(entry *yaml.Node, a Account) {
	for _, kv := range []struct{ key, value string }{
		{"password", a.Password}, {"password_file", a.PasswordFile}, {"password_command", a.PasswordCommand},
	} {
		if kv.value != "" {
			set(entry, kv.key, text(kv.value))
		} else {
			remove(entry, kv.key)
		}
	}
	remove(entry, "keyring")
	if a.Keyring {
		set(entry, "keyring", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
}

// RemoveAccount takes the account with that name out of the file, and
// default_account when it names it. Nothing to remove is no error.
func RemoveAccount(file, name string) error {
	doc, err := editable(file)
	if err != nil {
		return err
	}
	root := doc.Content[0]
	accounts := lookup(root, "accounts")
	if accounts == nil || !remove(accounts, name) {
		return nil
	}
	if d := lookup(root, "default_account"); d != nil && strings.EqualFold(d.Value, name) {
		remove(root, "default_account")
	}
	return write(file, doc)
}

// editable returns the document of the file, with a root mapping: an empty one
// when there is none.
func editable(file string) (*yaml.Node, error) {
	data, err := ReadBounded(file, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Msg: "read the configuration", Err: err}
	}
	doc, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	if line := aliasIn(doc); line != 0 {
		return nil, &Error{
			File: file, Line: line, Msg: "an alias (*name) stands for a value elsewhere: jetsend does not change such a file",
			Hints: []string{"write the value in its place, or change the account by hand: jetsend help config"},
		}
	}
	if rootOf(doc) == nil {
		root := &yaml.Node{Kind: yaml.MappingNode}
		for line := range strings.Lines(string(data)) { // a file of nothing but comments keeps them
			if line = strings.TrimSpace(line); line == "" && root.HeadComment != "" || strings.HasPrefix(line, "#") {
				root.HeadComment += line + "\n"
			}
		}
		root.HeadComment = strings.TrimSpace(cmp.Or(root.HeadComment, header))
		doc = &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}}
	}
	return doc, nil
}

// aliasIn returns the line of the first alias, or 0. To change what it stands for
// would change both.
func aliasIn(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return n.Line
	}
	for _, child := range n.Content {
		if line := aliasIn(child); line != 0 {
			return line
		}
	}
	return 0
}

func text(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s)
	return n
}

// lookup returns the value of a key, its case ignored, or nil.
func lookup(m *yaml.Node, key string) *yaml.Node {
	if m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if strings.EqualFold(m.Content[i].Value, key) {
			return m.Content[i+1]
		}
	}
	return nil
}

// section returns the mapping under key and makes it when there is none.
func section(m *yaml.Node, key string) *yaml.Node {
	v := lookup(m, key)
	if v == nil || v.Kind != yaml.MappingNode {
		v = &yaml.Node{Kind: yaml.MappingNode}
		set(m, key, v)
	}
	v.Style &^= yaml.FlowStyle
	return v
}

func set(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if old := m.Content[i+1]; strings.EqualFold(m.Content[i].Value, key) {
			value.LineComment, value.HeadComment, value.FootComment = old.LineComment, old.HeadComment, old.FootComment
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, text(key), value)
}

func remove(m *yaml.Node, key string) bool {
	if m.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if strings.EqualFold(m.Content[i].Value, key) {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return true
		}
	}
	return false
}

// write replaces the file in one step: a crash leaves the old one or the new
// one. A symbolic link keeps pointing to the file that it names.
func write(file string, doc *yaml.Node) (err error) {
	defer func() {
		if err != nil {
			err = &Error{Msg: "write the configuration", Err: err}
		}
	}()
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	after, err := parse(file, b.Bytes())
	if err == nil && rootOf(after) != nil {
		err = check(rootOf(after), file, "")
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".config-*.yaml") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already after a rename
	if _, err := tmp.Write(b.Bytes()); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
