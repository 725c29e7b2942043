package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"jetsend/internal/config"
	"jetsend/internal/exclude"
	"jetsend/internal/route"
)

// keyAnnotation marks a flag with the configuration key of the same meaning,
// such as "send::wait".
const keyAnnotation = "jetsend_config_key"

// keyed adds flags to a set, each tied to its key below a section of the
// configuration: the value is read from there, after flag, file and default
// have been merged.
type keyed struct {
	flags   *pflag.FlagSet
	section string
}

func (k keyed) tie(name string) {
	key := k.section + "::" + strings.ReplaceAll(name, "-", "_")
	// Fails only for a flag that does not exist.
	_ = k.flags.SetAnnotation(name, keyAnnotation, []string{key})
}

func (k keyed) value(v pflag.Value, name, usage string) {
	k.flags.Var(v, name, usage)
	k.tie(name)
}

func (k keyed) bool(name string, def bool, usage string) {
	k.flags.Bool(name, def, usage)
	k.tie(name)
}

func (k keyed) string(name, def, usage string) {
	k.flags.String(name, def, usage)
	k.tie(name)
}

func (k keyed) path(name, def, usage string, home func() string) {
	k.value(&filePath{value: def, home: home}, name, usage)
}

func (k keyed) strings(name, usage string) {
	k.flags.StringArray(name, nil, usage)
	k.tie(name)
}

// patterns adds --exclude and the flags that add to the same list, in the order in which
// they are given.
func (k keyed) patterns() {
	const list = "exclude"
	k.strings(list, "leave out what matches `PATTERN` in a directory, as in .gitignore; can be given again")
	k.flags.Var(patterns{func(s string) error { return k.flags.Set(list, "!"+s) }, "PATTERN"}, "include", "send what matches `PATTERN` although one before it leaves it out")
	k.flags.Var(patterns{func(s string) error {
		lines, err := readLines(s)
		for _, line := range lines {
			err = errors.Join(err, k.flags.Set(list, line))
		}
		return err
	}, "FILE"}, "exclude-from", "patterns from `FILE`, one a line")
}

// patterns is a flag whose values another one takes: see flagText.
type patterns struct {
	add  func(string) error
	what string
}

// String implements pflag.Value.
func (patterns) String() string { return "" }

// Set implements pflag.Value.
func (p patterns) Set(s string) error { return p.add(s) }

// Type implements pflag.Value.
func (p patterns) Type() string { return p.what }

// readLines reads the lines of a text file.
func readLines(path string) ([]string, error) {
	b, err := config.ReadBounded(path, exclude.MaxBytes)
	if err != nil {
		return nil, err
	}
	text := strings.TrimPrefix(string(b), "\ufeff") // editors of Windows mark UTF-8
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n"), nil
}

// transport adds --transport, which stands for transports.order.
func (k keyed) transport() {
	k.flags.Var(&transports{config.Default().Transports.Order}, "transport", "the allowed transports, a `LIST` with the preferred one first: s5b,ibb")
	_ = k.flags.SetAnnotation("transport", keyAnnotation, []string{"transports::order"})
}

// portMapping adds --no-port-mapping, which stands for transports.s5b.port_mapping.
func (k keyed) portMapping() {
	k.not("port-mapping", "transports::s5b::port_mapping", "do not ask the router of this network to lead a port here")
}

// notify adds --no-notify, which stands for receive.notify.
func (k keyed) notify() {
	k.not("notify", "receive::notify", "do not tell the desktop what arrives")
}

// not adds --no-NAME for a key of the configuration that is true unless it is told
// otherwise.
func (k keyed) not(name, key, usage string) {
	k.flags.Bool(name, true, "the opposite of --no-"+name)
	_ = k.flags.MarkHidden(name)
	_ = k.flags.SetAnnotation(name, keyAnnotation, []string{key})
	f := k.flags.VarPF(patterns{func(s string) error {
		no, err := strconv.ParseBool(s)
		return errors.Join(err, k.flags.Set(name, strconv.FormatBool(!no)))
	}, "bool"}, "no-"+name, "", usage)
	f.NoOptDefVal = "true"
}

func (k keyed) duration(name string, def time.Duration, usage string) {
	d := duration(def)
	k.value(&d, name, usage)
}

// retry adds the flags of what a run does about an interruption.
func (k keyed) retry() {
	n := count(config.Default().Send.Retries)
	k.value(&n, "retries", "give up after `N` attempts in a row that bring nothing")
	k.duration("retry-for", config.Default().Send.RetryFor, "how long to keep trying after an interruption")
}

func (k keyed) rate(name string, def config.Rate, usage string) { k.value(&def, name, usage) }

func (k keyed) size(name string, def config.Size, usage string) { k.value(&def, name, usage) }

func (k keyed) choice(name, def, usage string, words ...string) {
	k.value(&choice{value: def, words: words}, name, usage+": "+strings.Join(words, ", "))
}

// boundFlags collects the tied flags for config.Load.
func boundFlags(fs *pflag.FlagSet) map[string]*pflag.Flag {
	m := make(map[string]*pflag.Flag)
	fs.VisitAll(func(f *pflag.Flag) {
		if key := f.Annotations[keyAnnotation]; len(key) == 1 {
			m[key[0]] = f
		}
	})
	return m
}

// duration is a time span that is not negative.
type duration time.Duration

// String implements pflag.Value.
func (d *duration) String() string {
	if *d == 0 {
		return "0"
	}
	s := time.Duration(*d).String()
	s = strings.TrimSuffix(s, "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	if s == "" || s[len(s)-1] >= '0' && s[len(s)-1] <= '9' { // it was "10s" or "1m20s"
		return time.Duration(*d).String()
	}
	return s
}

// Set implements pflag.Value.
func (d *duration) Set(s string) error {
	v, err := config.ParseDuration(s)
	*d = duration(v)
	return err
}

// Type implements pflag.Value.
func (*duration) Type() string { return "DURATION" }

// count is a whole number that is not negative.
type count int

// String implements pflag.Value.
func (n *count) String() string { return strconv.Itoa(int(*n)) }

// Set implements pflag.Value.
func (n *count) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a number from 0 up", s)
	}
	*n = count(v)
	return nil
}

// Type implements pflag.Value; viper knows whole numbers by this name.
func (*count) Type() string { return "int" }

// transports is a list of s5b and ibb.
type transports struct{ names []string }

// String implements pflag.Value, in the form that viper reads lists in.
func (t *transports) String() string { return "[" + strings.Join(t.names, ",") + "]" }

// Set implements pflag.Value.
func (t *transports) Set(s string) error {
	names := strings.Split(s, ",")
	for i, n := range names {
		if n != route.S5B && n != route.IBB || slices.Contains(names[:i], n) {
			return errors.New("name s5b, ibb or both, each once")
		}
	}
	t.names = names
	return nil
}

// Type implements pflag.Value; viper knows lists by this name.
func (*transports) Type() string { return "stringSlice" }

// filePath is that of a file or directory. A shell leaves ~/ alone in --dir=~/x.
type filePath struct {
	value string
	home  func() string
	none  bool // empty is none, and takes back what the configuration says
}

// String implements pflag.Value.
func (p *filePath) String() string { return p.value }

// Set implements pflag.Value.
func (p *filePath) Set(s string) (err error) {
	if s == "" && !p.none {
		return errors.New("it is empty, and names nothing")
	}
	p.value, err = config.ExpandHome(s, p.home())
	return err
}

// Type implements pflag.Value.
func (*filePath) Type() string { return "string" }

// choice is one of several words.
type choice struct {
	value string
	words []string
}

// String implements pflag.Value.
func (c *choice) String() string { return c.value }

// Set implements pflag.Value.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("it is one of %s", strings.Join(c.words, ", "))
	}
	c.value = s
	return nil
}

// Type implements pflag.Value.
func (*choice) Type() string { return "WORD" }
