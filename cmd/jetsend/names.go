package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/contact"
	"jetsend/internal/jid"
	"jetsend/internal/shortname"
)

// target is the contact of a command. A short name that the configuration has not is
// the word of the account's list of contacts, which is known only online.
type target struct {
	jid  jid.JID // zero until settle, where only the list may know the name
	name string  // as it was typed; "" for an address, and for a name of the configuration
}

// learn has a configuration know the short names of the state, which are read when the
// first one is asked for: most commands name none.
func (a *app) learn(ctx context.Context, c *config.Config) {
	names := sync.OnceValue(func() map[string]jid.JID { return a.names(ctx, c) })
	c.Learned = func(name string) (jid.JID, bool) {
		key, err := shortname.Key(name)
		if err != nil {
			return jid.JID{}, false
		}
		j, ok := names()[key]
		return j, ok
	}
}

// names are the short names of the state. A failure to read them is reported by
// the command that needs the state.
func (a *app) names(ctx context.Context, c *config.Config) (all map[string]jid.JID) {
	err := a.inNames(ctx, c, func(n *shortname.Names) (err error) {
		all, err = n.All(ctx)
		return err
	})
	if err != nil {
		a.log.Debug("names of contacts", "error", err)
	}
	return all
}

// inNames opens the short names of the account for do.
func (a *app) inNames(ctx context.Context, c *config.Config, do func(*shortname.Names) error) error {
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	return a.openNames(ctx, dir, account, do)
}

// targetOf finds the contact that was typed, as far as that is known offline.
func (a *app) targetOf(c *config.Config, text string) (target, error) {
	key, nameErr := shortname.Key(text)
	j, err := resolveContact(c, text)
	if err == nil {
		t := target{jid: j}
		if nameErr == nil && !c.Configured(key) && !c.Configured(text) {
			t.name = text
		}
		return t, nil
	}
	if _, _, perr := a.place(c); nameErr != nil || perr != nil {
		return target{}, err // nobody else may know it
	}
	return target{name: text}, nil
}

// settle finds the contact by the account's list where that is still to be done, and
// sees to it that a name stands for whom it stood for before.
func (a *app) settle(ctx context.Context, c *config.Config, e endpoint, t *target) error {
	if t.name == "" {
		return nil
	}
	list, err := e.Roster().Items(ctx)
	if err != nil && !t.jid.IsZero() {
		return nil //nolint:nilerr // the list is not needed to go on with what is known
	}
	if err != nil {
		return err
	}
	found := namesakes(list, t.name)
	switch {
	case !t.jid.IsZero() && (len(found) != 1 || found[0] == t.jid.Bare()):
		return nil
	case !t.jid.IsZero():
		old, now := clean.Text(t.jid.Bare().String()), clean.Text(found[0].String())
		return usagef("%s was %s when you used it last, and is %s on the account's list of contacts now", clean.Text(t.name), old, now).
			hint("if you changed that, run `%s`; otherwise somebody else did: use the address", a.again("contacts", "name", now, clean.Text(t.name)))
	case len(found) == 0:
		_, err := resolveContact(c, t.name)
		return err
	case len(found) > 1:
		return usagef("%s is the name of several contacts: %s", clean.Text(t.name), clean.Text(joined(found))).hint("use the address")
	}
	t.jid = found[0]
	a.print.Note("%s is %s, by your list of contacts", clean.Text(t.name), clean.Text(t.jid.String()))
	return a.remember(ctx, c, t.name, t.jid)
}

// namesakes are the contacts of that name.
func namesakes(list []contact.Entry, name string) (found []jid.JID) {
	want, err := shortname.Key(name)
	if err != nil {
		return nil
	}
	for _, entry := range list {
		if key, err := shortname.Key(entry.Name); err == nil && key == want {
			found = append(found, entry.JID)
		}
	}
	return found
}

func joined(list []jid.JID) string {
	var texts []string
	for _, j := range list {
		texts = append(texts, j.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// remember has a name stand for an address on this machine.
func (a *app) remember(ctx context.Context, c *config.Config, name string, of jid.JID) error {
	return a.inNames(ctx, c, func(n *shortname.Names) error { return n.Set(ctx, name, of) })
}

// unname has no name stand for an address any more.
func (a *app) unname(ctx context.Context, c *config.Config, of jid.JID) error {
	return a.inNames(ctx, c, func(n *shortname.Names) error { return n.Forget(ctx, of) })
}

// newName checks a name that a contact is to be given.
func newName(c *config.Config, name string, of jid.JID) error {
	key, err := shortname.Key(name)
	if errors.Is(err, shortname.ErrName) {
		return usagef("%q cannot be the name of a contact", clean.Text(name)).hint("%s", shortname.ErrName)
	}
	if err != nil {
		return err
	}
	if j, ok := c.Address(key); ok && c.Configured(key) && j.Bare() != of.Bare() {
		return usagef("%s is %s in the configuration", clean.Text(name), clean.Text(j.String())).hint("choose another name, or change contacts: of %s", orDefault(c.File, "the configuration"))
	}
	return nil
}
