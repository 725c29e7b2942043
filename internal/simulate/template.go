package simulate

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/transfer"
	"jetsend/internal/xmltree"
)

// Template is two accounts whose devices exist and know each other: the state that every
// run begins with.
type Template struct {
	at    time.Time
	nodes map[jid.JID]map[string]*xmltree.Element
	files map[string]map[string][]byte // of the state directory, by end
}

// NewTemplate makes the devices, in a bubble of testing/synctest and an empty directory.
func NewTemplate(dir string) (*Template, error) {
	plan := &plan{base: time.Millisecond, slow: 1 << 30}
	w := &world{dir: dir, began: time.Now(), counts: map[string]int{}, over: make(chan struct{}), plan: &schedule{sizes: []int{1}, romeo: plan, juliet: plan}}
	w.romeo, w.juliet = w.newEnd("romeo", plan), w.newEnd("juliet", plan)
	w.srv = newServer(w.romeo.jid, w.juliet.jid)
	for _, e := range []*end{w.romeo, w.juliet} {
		if err := e.makeDirs(); err != nil {
			return nil, err
		}
		defer addDisk(e.disk)()
	}
	if err := w.makeSources(); err != nil {
		return nil, err
	}
	if err := w.meet(); err != nil {
		return nil, err
	}
	w.srv.close()
	w.srv.links.Wait()
	if len(w.faults) > 0 {
		return nil, errors.New(strings.Join(w.faults, "; "))
	}
	t := &Template{at: time.Now(), nodes: map[jid.JID]map[string]*xmltree.Element{}, files: map[string]map[string][]byte{}}
	for j, h := range w.srv.homes {
		t.nodes[j] = h.nodes
	}
	for _, e := range []*end{w.romeo, w.juliet} {
		all, err := filepath.Glob(filepath.Join(e.disk.dir, "state", "*.db"))
		if err != nil {
			return nil, err
		}
		t.files[e.name] = map[string][]byte{}
		for _, path := range all {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			t.files[e.name][filepath.Base(path)] = b
		}
	}
	return t, nil
}

// meet has the devices make themselves known and exchange a file, and publish what they
// have used up of their bundles.
func (w *world) meet() error {
	var all sync.WaitGroup
	all.Go(w.juliet.receives)
	w.romeo.sends()
	close(w.over)
	all.Wait()
	for _, e := range []*end{w.romeo, w.juliet} {
		if err := e.live("announce", false, func(context.Context, *transfer.Endpoint) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// server is one with what the devices have published.
func (t *Template) server() *server {
	s := newServer()
	for j, nodes := range t.nodes {
		s.homes[j] = &home{jid: j, nodes: maps.Clone(nodes), lines: map[string]*line{}}
	}
	return s
}

// install makes the directories of an end.
func (t *Template) install(e *end) error {
	if err := e.makeDirs(); err != nil {
		return err
	}
	for name, b := range t.files[e.name] {
		if err := os.WriteFile(filepath.Join(e.disk.dir, "state", name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (e *end) makeDirs() error {
	for _, d := range []string{"state", "in", "src", "graves"} {
		if err := os.MkdirAll(filepath.Join(e.disk.dir, d), 0o700); err != nil {
			return err
		}
	}
	return nil
}
