package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"

	"jetsend/internal/clean"
	"jetsend/internal/private"
	"jetsend/internal/strict"
)

// delimiter separates the parts of a key inside viper. The usual dot would cut
// account names such as juliet@example.org in pieces.
const delimiter = "::"

// ValidName reports whether an account or a contact can have that name: what is within it
// must still be found behind a delimiter.
func ValidName(name string) bool {
	return !strings.Contains(name, delimiter) && !strings.HasSuffix(name, delimiter[:1])
}

// maxFile bounds the configuration file: a hundred times what a long one is,
// and small enough to read whole.
const maxFile = 1 << 20

// Options says what Load reads.
type Options struct {
	File      string // the YAML file
	MustExist bool   // the user named File explicitly
	Home      string // what ~/ stands for in the file
	// Flags maps a key of the file ("send::wait") to the flag of the same
	// meaning. Only flags that were given on the command line count.
	Flags map[string]*pflag.Flag
}

// Load merges flags, file and defaults, in that order of precedence, and
// checks the result. Errors are of type *[Error].
func Load(o Options) (*Config, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	setDefaults(v, Default())
	settings, found, err := readFile(o)
	if err != nil {
		return nil, err
	}
	if err := v.MergeConfigMap(settings); err != nil {
		return nil, &Error{File: o.File, Msg: "cannot be used", Err: err}
	}
	for key, flag := range o.Flags {
		if flag == nil || !flag.Changed {
			continue
		}
		if err := v.BindPFlag(key, flag); err != nil {
			return nil, &Error{Msg: "flag --" + flag.Name, Err: err}
		}
	}
	c := &Config{File: o.File, Found: found}
	if err := v.UnmarshalExact(c, viper.DecodeHook(decodeText)); err != nil {
		return nil, &Error{File: o.File, Msg: "cannot be used", Err: err}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := checkMode(c); err != nil {
		return nil, err
	}
	return c, c.checkRun(func(key string) bool {
		f := o.Flags[key]
		return f != nil && f.Changed
	})
}

// setDefaults tells viper the built-in values.
func setDefaults(v *viper.Viper, d Config) {
	v.SetDefault("trust", d.Trust)
	v.SetDefault("send::wait", d.Send.Wait)
	v.SetDefault("send::cipher", d.Send.Cipher)
	v.SetDefault("send::encryption", d.Send.Encryption)
	v.SetDefault("send::retries", d.Send.Retries)
	v.SetDefault("send::retry_for", d.Send.RetryFor)
	v.SetDefault("receive::dir", d.Receive.Dir)
	v.SetDefault("receive::on_conflict", d.Receive.OnConflict)
	v.SetDefault("receive::drain", d.Receive.Drain)
	v.SetDefault("receive::priority", d.Receive.Priority)
	v.SetDefault("receive::prime", d.Receive.Prime)
	v.SetDefault("receive::notify", d.Receive.Notify)
	v.SetDefault("receive::retries", d.Receive.Retries)
	v.SetDefault("receive::retry_for", d.Receive.RetryFor)
	v.SetDefault("receive::auto_resume", d.Receive.AutoResume)
	v.SetDefault("receive::keep_interrupted", d.Receive.KeepInterrupted)
	v.SetDefault("transports::order", d.Transports.Order)
	v.SetDefault("transports::s5b::port_mapping", d.Transports.S5B.PortMapping)
	v.SetDefault("transports::ibb::block_size", d.Transports.IBB.BlockSize)
}

// readFile parses and checks the file. No file is an empty one, unless it was
// named by the user.
func readFile(o Options) (settings map[string]any, found bool, err error) {
	root, err := parseFile(o.File)
	if errors.Is(err, fs.ErrNotExist) && !o.MustExist {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if root == nil { // nothing but comments
		return nil, true, nil
	}
	if err := check(root, o.File, o.Home); err != nil {
		return nil, true, err
	}
	if err := root.Decode(&settings); err != nil {
		return nil, true, &Error{File: o.File, Msg: "cannot be used", Err: err}
	}
	prune(settings)
	return settings, true, nil
}

// check compares a file with what there may be in it.
func check(root *yaml.Node, file, home string) error {
	w := walker{file: file, dir: filepath.Dir(file), home: home}
	return w.check(root, reflect.TypeFor[Config](), "", field{})
}

// prune drops keys without a value. To viper a section that is null would hide
// the defaults below it.
func prune(m map[string]any) {
	for key, value := range m {
		switch value := value.(type) {
		case nil:
			delete(m, key)
		case map[string]any:
			prune(value)
		}
	}
}

// parseFile returns the root mapping of a YAML file, or nil when the file
// holds nothing.
func parseFile(file string) (*yaml.Node, error) {
	data, err := ReadBounded(file, maxFile)
	if err != nil {
		return nil, &Error{Msg: "read the configuration", Err: err}
	}
	doc, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	return rootOf(doc), nil
}

// parse returns the one document of a YAML file, comments included.
func parse(file string, data []byte) (*yaml.Node, error) {
	doc, more := new(yaml.Node), new(yaml.Node)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(doc)
	if err == nil {
		if err = dec.Decode(more); err == nil {
			return nil, &Error{File: file, Line: more.Line, Msg: "a second document begins: only one is read"}
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		msg := strings.TrimPrefix(err.Error(), "yaml: ")
		if strings.HasPrefix(msg, "unknown anchor") { // its name may be a password that was not quoted
			msg = "unknown anchor: put quotes around a value that begins with *"
		}
		return nil, &Error{File: file, Msg: msg}
	}
	if root := rootOf(doc); root != nil && root.Kind != yaml.MappingNode {
		return nil, &Error{File: file, Line: root.Line, Msg: "the file is not a list of `key: value` lines"}
	}
	return doc, nil
}

// rootOf returns what a document holds, or nil.
func rootOf(doc *yaml.Node) *yaml.Node {
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil
	}
	return doc.Content[0]
}

// ReadBounded reads a small regular file; a pipe or an endless device does not
// hang or fill the memory.
func ReadBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %v", file, Size(limit))
	}
	return data, nil
}

// checkMode refuses a file that holds a password and can be read by others.
func checkMode(c *Config) error {
	if !c.Found {
		return nil
	}
	how, err := private.Open(c.File)
	if err != nil {
		return &Error{Msg: "read the configuration", Err: err}
	}
	if how == "" {
		return nil
	}
	for name, a := range c.Accounts {
		if a.Password != "" {
			return &Error{
				File: c.File, Msg: fmt.Sprintf("holds the password of account %s and is %s", name, how),
				Hints: []string{"run `" + private.Fix(clean.Argument(c.File)) + "`"},
			}
		}
	}
	return nil
}

// checkRun refuses a file that names something to run and can be changed by
// others, who would run it as us. byFlag reports whether the value of a key was named by
// a flag.
func (c *Config) checkRun(byFlag func(key string) bool) error {
	key := ""
	if c.Receive.Exec != "" && !byFlag("receive::exec") {
		key = "receive.exec"
	}
	if c.Send.OnComplete != "" && !byFlag("send::on_complete") {
		key = "send.on_complete"
	}
	for name, a := range c.Accounts {
		if a.PasswordCommand != "" {
			key = "password_command of account " + name
		}
	}
	if key == "" || !c.Found {
		return nil
	}
	err := strict.Check(c.File)
	var open *strict.Error
	if errors.As(err, &open) {
		return &Error{File: c.File, Msg: key + " is not run, for others could have put it there", Err: err, Hints: []string{open.Fix}}
	}
	if err != nil {
		return &Error{Msg: "read the configuration", Err: err}
	}
	return nil
}

// decodeText turns text into the types of this package; it has the shape of a
// mapstructure.DecodeHookFuncType.
func decodeText(from, to reflect.Type, data any) (any, error) {
	if from == to {
		return data, nil
	}
	text := strings.TrimSpace(fmt.Sprint(data))
	switch to {
	case reflect.TypeFor[Size]():
		return ParseSize(text)
	case reflect.TypeFor[Rate]():
		return ParseRate(text)
	case reflect.TypeFor[time.Duration]():
		return ParseDuration(text)
	}
	return data, nil
}
