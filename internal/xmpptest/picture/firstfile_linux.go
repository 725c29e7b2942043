package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"jetsend/internal/xmpptest"
)

const (
	domain     = "verona.example"
	rows, cols = 40, 66
)

// drawFirstFile lets romeo and juliet, who have logged in, become contacts and send a file,
// and draws what is on their screens then.
func drawFirstFile(ctx context.Context, program, path string) (err error) {
	if path == "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "jetsend-picture-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := stage(ctx, dir, program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.server.Stop()) }()
	romeo, err := s.enter("romeo")
	if err != nil {
		return err
	}
	defer romeo.leave()
	juliet, err := s.enter("juliet")
	if err != nil {
		return err
	}
	defer juliet.leave()
	link, err := s.jetsend(ctx, "juliet", "invite")
	if err != nil {
		return err
	}
	if err := play(ctx, romeo, juliet, strings.TrimSpace(link)); err != nil {
		return err
	}
	return drawScreens(path, romeo, juliet)
}

// play is what the two do: each line waits for what somebody sees, and then somebody types.
func play(ctx context.Context, romeo, juliet *person, link string) error {
	const prompt = "$ "
	for _, step := range []struct {
		who  *person
		sees string
		n    int
		keys string
	}{
		{juliet, prompt, 1, "jetsend receive --dir ~/Downloads\r"},
		{juliet, "waiting for files", 1, ""},
		{romeo, prompt, 1, "jetsend contacts add\r"},
		{romeo, "paste the invitation", 1, link + "\r"},
		{juliet, "is a contact now", 1, ""},
		{romeo, prompt, 2, "jetsend send balcony.jpg juliet@" + domain + "\r"},
		{juliet, "[y/N] ", 1, "y\r"},
		{juliet, "received balcony.jpg", 1, ""},
		{romeo, prompt, 3, "echo $?\r"},
		{romeo, prompt, 4, ""},
	} {
		if err := step.who.sees(ctx, step.sees, step.n); err != nil {
			return err
		}
		if err := step.who.types(step.keys); err != nil {
			return fmt.Errorf("type: %w", err)
		}
	}
	return nil
}

// theatre is a private server and two homes.
type theatre struct {
	server *xmpptest.Server
	home   string // what becomes /home
}

// stage starts the server, and makes what is there before anybody types.
func stage(ctx context.Context, dir, program string) (*theatre, error) {
	t := &theatre{home: filepath.Join(dir, "home")}
	server := filepath.Join(dir, "server")
	bin := filepath.Join(t.home, "bin")
	for _, d := range []string{server, t.home, bin, filepath.Join(t.home, "romeo"), filepath.Join(t.home, "juliet"), filepath.Join(t.home, "juliet", "Downloads")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	balcony, err := photograph()
	if err != nil {
		return nil, err
	}
	err = errors.Join(copyFile(program, filepath.Join(bin, "jetsend"), 0o700), os.WriteFile(filepath.Join(t.home, "romeo", "balcony.jpg"), balcony, 0o600))
	if err != nil {
		return nil, fmt.Errorf("furnish: %w", err)
	}
	t.server, err = xmpptest.StartServer(ctx, server, xmpptest.Options{
		Domain: domain, Accounts: []xmpptest.Account{{User: "romeo", Password: "romeo-pw"}, {User: "juliet", Password: "juliet-pw"}},
	})
	if err != nil {
		return nil, err
	}
	if err := copyFile(t.server.CAFile, filepath.Join(t.home, "ca.pem"), 0o600); err != nil {
		return nil, errors.Join(err, t.server.Stop())
	}
	for _, user := range []string{"romeo", "juliet"} {
		if _, err := t.jetsend(ctx, user, "login", t.server.JID(user)); err != nil {
			return nil, errors.Join(err, t.server.Stop())
		}
	}
	return t, nil
}

// env tells where the server is, which no DNS knows, and the password.
func (t *theatre) env(user string) []string {
	return []string{"JETSEND_SERVER=" + t.server.Addr, "JETSEND_TLS_CA_FILE=/home/ca.pem", "JETSEND_PASSWORD=" + user + "-pw"}
}

func (t *theatre) enter(user string) (*person, error) {
	return sitDown(user, t.home, rows, cols, t.env(user)...)
}

// jetsend runs a command before the curtain rises.
func (t *theatre) jetsend(ctx context.Context, user string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `mount --bind "$0" /home && cd && exec jetsend "$@"`, t.home}, args...)...)
	cmd.Env = append(t.env(user), "HOME=/home/"+user, "PATH=/home/bin:/usr/bin:/bin")
	cmd.SysProcAttr = namespaces()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("jetsend %s: %w: %s", args[0], err, &said)
	}
	return string(out), nil
}

// photograph is a picture of a balcony at night, as a camera that was not made for that
// takes it.
func photograph() ([]byte, error) {
	const width, height = 1600, 1200
	picture := image.NewGray(image.Rect(0, 0, width, height))
	_, _ = rand.NewChaCha8([32]byte{}).Read(picture.Pix) // never fails
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 95}); err != nil {
		return nil, fmt.Errorf("make a photograph: %w", err)
	}
	return b.Bytes(), nil
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// drawScreens draws what both see at this moment.
func drawScreens(path string, all ...*person) error {
	var shown []pane
	for _, p := range all {
		p.mu.Lock()
		defer p.mu.Unlock()
		shown = append(shown, pane{p.name, p.screen})
	}
	out, err := drawPanes("two terminals: romeo becomes a contact of juliet by an invitation and sends a file, juliet accepts it", shown...)
	if err != nil {
		return err
	}
	return out.Save(path)
}
