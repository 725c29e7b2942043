package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
)

// reportFixture has a configuration in which everything that is private can be told again,
// and a log with lines that bring it in.
func reportFixture(t *testing.T) (f *fixture, private []string) {
	f = doctorFixture(t)
	f.env["JETSEND_JID"], f.env["USER"] = "", "benvolio"
	f.env["JETSEND_STATE_DIR"] = filepath.Join(f.env["HOME"], "tybaltstate")
	dir := filepath.Join(f.env["HOME"], ".config", "jetsend")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	hook := f.file("mercutiohook", "#!/bin/sh\n")
	if err := os.Chmod(hook, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `default_account: sphinxhome
accounts:
  sphinxhome: {jid: juliet@capulet.example, password: hush-hush, socks5: "proxyhost.example:9050"}
contacts: {zuckerhut: romeo@montague.example/balcony}
send: {name: veronaname.pdf, description: nightingale, on_complete: ` + hook + `}
receive: {dir: ~/larkdir, exec: ` + hook + `, from: [paris@county.example]}
transports: {stun: ["stunhost.example:3478"], s5b: {proxies: [relayhost.example], advertise: [198.51.100.77], interfaces: [ethersphinx]}}
`
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fingerprint := strings.Repeat("89abcdef", 8)
	f.file("gardenlog", strings.Join([]string{
		`time=2026-11-21T20:15:00.000Z level=INFO msg=online jid=juliet@capulet.example/jetsend.1 address=xmpp.capulet.example:5222`,
		`time=2026-11-21T20:15:00.000Z level=INFO msg=offline error="open /home/benvolio/veronaname.pdf: permission denied" name=veronaname.pdf`,
		`time=hush-hush level=INFO msg="hush-hush ` + fingerprint + `" peer=nurse@capulet.example fingerprint=` + fingerprint + ` error="aHVzaC1odXNo; 198.51.100.78"`,
		`panic: zuckerhut mercutiohook`,
	}, "\n")+"\n")
	return f, []string{
		"juliet", "capulet", "sphinx", "hush", "proxyhost", "zuckerhut", "romeo", "montague", "balcony", "verona", "nightingale", "mercutio", "lark", "paris",
		"county", "stunhost", "relayhost", "198.51.100", "ethersphinx", "tybalt", "benvolio", "garden", "nurse", "89abcdef", "larkreport", "192.0.2.1",
		f.env["HOME"], strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("hush-hush")), "="),
	}
}

// holds fails unless a report has what it must have and nothing that it must not.
func holds(t *testing.T, text string, private []string, wanted ...string) {
	t.Helper()
	for _, p := range private {
		if strings.Contains(strings.ToLower(text), strings.ToLower(p)) {
			t.Errorf("%q is in the report:\n%s", p, text)
		}
	}
	v := currentVersion()
	for _, w := range append(wanted, "version: "+v.Version+"\n", "platform: "+v.Platform+"\n", "system: "+runtime.GOOS+"\n", "\nFINDINGS\n") {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in the report:\n%s", w, text)
		}
	}
}

func TestDoctorReport(t *testing.T) {
	f, private := reportFixture(t)
	path := filepath.Join(f.env["HOME"], "larkreport")
	f.env["JETSEND_JID"] = ""
	f.wants(5, []string{"the report is in "}, "doctor", "zuckerhut", "--report", path, "--log-file", filepath.Join(f.env["HOME"], "gardenlog"))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, string(text), private, "fail account login", "exit code 5: ", "accounts.account-1.jid: account-1\n", "accounts.account-1.password: set\n",
		"contacts.contact-1: contact-1\n", "send.name: set\n", "receive.exec: path-", "trust: blind\n", "flags: --log-file --report\n",
		"\nLOG FILE\n", `INFO "online" jid=account-1 address=server-`, `error="… permission denied"`, "\nLOG OF THIS RUN\n")
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	f.wants(2, []string{"is there already", "hint: name a file"}, "doctor", "--report", path)
	again, err := os.ReadFile(path)
	if err != nil || string(again) != string(text) {
		t.Errorf("it was changed: %v", err)
	}
	f.wants(12, []string{"make the report"}, "doctor", "--report", filepath.Join(path, "below"))
	f.wants(2, []string{"contradict"}, "--json", "doctor", "--report", "-")
}

// TestDoctorReportStdout: nothing else is on standard output, and what is wrong with the
// configuration is told without its text.
func TestDoctorReportStdout(t *testing.T) {
	f, private := reportFixture(t)
	f.wants(5, nil, "doctor", "--report", "-")
	if !strings.HasPrefix(f.out.String(), "jetsend report\n") || strings.Contains(f.out.String(), "\nSERVER\n") {
		t.Error(f.out.String())
	}
	holds(t, f.out.String(), private)
	if err := os.WriteFile(filepath.Join(f.env["HOME"], ".config", "jetsend", "config.yaml"), []byte("juliet: hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.wants(3, nil, "doctor", "--report", "-")
	holds(t, f.out.String(), private, "it cannot be read", "exit code 3: ")
}

// TestReportIsTold: a failure that nobody expects says what to attach.
func TestReportIsTold(t *testing.T) {
	f := newFixture(t)
	f.endpoint.result = &fault.Failure{Code: exitcode.Unexpected, Reason: "boom"}
	f.wants(1, []string{"report it", "run `" + reportCommand + "` and attach"}, "send", f.file("a.txt", ""), "romeo@montague.example")
	f.wants(0, nil, "help", "exit-codes")
	if !strings.Contains(f.out.String(), reportCommand) {
		t.Error(f.out.String())
	}
	a := newApp(system{Env: func(string) string { return "" }})
	if cmd, rest, err := newRootCommand(a).Find(strings.Fields(reportCommand)[1:]); err != nil || cmd.Name() != "doctor" || cmd.ParseFlags(rest) != nil {
		t.Errorf("%v %v", cmd, err)
	}
}
