package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
)

// verdict is a decision about keys: `trust verify` or `trust distrust`.
type verdict struct {
	verb  string
	done  string // what has become of a key
	ask   string // the question, after the key was shown
	store func(context.Context, keys, device) error
	about func(device) bool // whether there is something to ask about
	looks bool              // online for more when all that is known is decided
	// compares: the user has to have seen the key elsewhere.
	compares bool
}

// verified: the key is the contact's.
func verified() verdict {
	return verdict{
		"verify", "verified", "Does the contact's device show the same key? [y/N] ",
		func(ctx context.Context, k keys, d device) error {
			if d.Known != "" {
				return k.Replace(ctx, d.JID, d.ID, d.Fingerprint)
			}
			return k.Verify(ctx, d.JID, d.Fingerprint)
		},
		func(d device) bool {
			return d.Known != "" || d.Trust == omemo.Blind.String() || d.Trust == omemo.Undecided.String()
		},
		true, true,
	}
}

// distrusted: the key is not to be used.
func distrusted() verdict {
	return verdict{
		"distrust", "distrusted", "Never use this key again? [y/N] ",
		func(ctx context.Context, k keys, d device) error { return k.Distrust(ctx, d.JID, d.Fingerprint) },
		func(d device) bool { return d.Known == "" && d.Trust != omemo.Distrusted.String() },
		false, false,
	}
}

func newTrustDecideCommand(a *app, v verdict, short, long string) *cobra.Command {
	codes := append(onlineCodes(), exitcode.Offline)
	return &cobra.Command{
		Use:   v.verb + " [CONTACT [FINGERPRINT] | URI]",
		Short: short,
		Long: long + `

FINGERPRINT is 64 hex digits; spaces, colons and case do not matter. URI is what
other clients show as a link or QR code: xmpp:name@domain?omemo-sid-123=HEX. Without
either each key of CONTACT that there is something to decide about is shown, and
asked about on the terminal; without CONTACT those of everybody. CONTACT may be
your own address: the other devices of the account.

It needs no network for keys that are known already; "verify" asks the server when
it knows of nothing to decide.

` + exitStatus(codes...),
		Example: examples(
			"jetsend trust "+v.verb+" romeo@montague.example",
			"jetsend trust "+v.verb+" romeo 01234567 89abcdef 01234567 89abcdef 01234567 89abcdef 01234567 89abcdef",
		),
		ValidArgsFunction: a.completeContact,
		RunE:              func(cmd *cobra.Command, args []string) error { return runTrustDecide(cmd, a, v, args) },
	}
}

// decider is one run of the command.
type decider struct {
	*app
	verdict
	config *config.Config
	self   jid.JID
	of     jid.JID // whose keys; zero: everybody's
	claims []claim
	keys   keys // nil while there is no state
	reopen func(context.Context) (keys, error)
}

func runTrustDecide(cmd *cobra.Command, a *app, v verdict, args []string) (err error) {
	ctx := cmd.Context()
	d := decider{app: a, verdict: v}
	if d.config, err = a.loadConfig(cmd); err != nil {
		return err
	}
	if err := d.parse(args); err != nil {
		return err
	}
	account, dir, err := a.place(d.config)
	if err != nil {
		return err
	}
	d.self = account.Addr
	d.reopen = func(ctx context.Context) (keys, error) { return a.openKeys(ctx, dir, account, d.config.Trust) }
	if d.keys, err = d.reopen(ctx); err != nil {
		return err
	}
	defer func() {
		if d.keys != nil {
			err = cmp.Or(err, d.keys.Close())
		}
	}()
	if len(d.claims) > 0 {
		return d.byClaim(ctx)
	}
	return d.byAsking(ctx)
}

// parse reads CONTACT, FINGERPRINT and URI.
func (d *decider) parse(args []string) (err error) {
	if len(args) == 0 {
		if !d.interactive() {
			return usagef("whose keys? there is no terminal to ask on").
				hint("run `%s CONTACT FINGERPRINT`", d.again("trust", d.verb))
		}
		return nil
	}
	if len(args) == 1 && hasKeys(args[0]) {
		if d.claims, err = parseURI(args[0]); err == nil {
			d.of = d.claims[0].of
		}
		return err
	}
	if d.of, err = resolveContact(d.config, args[0]); err != nil {
		return err
	}
	d.of = d.of.Bare()
	switch rest := args[1:]; {
	case len(rest) == 1 && hasKeys(rest[0]):
		if d.claims, err = parseURI(rest[0]); err == nil && d.claims[0].of != d.of {
			err = usagef("the URI is of %s, not of %s", clean.Text(d.claims[0].of.String()), clean.Text(d.of.String()))
		}
	case len(rest) > 0:
		c := claim{of: d.of}
		c.fingerprint, err = parseFingerprint(strings.Join(rest, ""))
		d.claims = []claim{c}
	}
	return err
}

// known returns the devices of the contact in question that this machine knows.
func (d *decider) known(ctx context.Context) ([]device, error) {
	if d.keys == nil {
		return nil, nil
	}
	list, err := d.keys.List(ctx, d.of)
	if err != nil {
		return nil, fmt.Errorf("list the keys: %w", err)
	}
	return list, nil
}

// learn goes online for the devices of the contact. Those that show another key
// than before are listed once more with that, if there is something to decide.
func (d *decider) learn(ctx context.Context) ([]device, error) {
	var changed []device
	err := d.online(ctx, d.config, func(ctx context.Context, e endpoint) (err error) {
		changed, err = e.LearnKeys(ctx, d.of)
		return err
	})
	var answer *stanza.Error
	switch {
	case errors.As(err, &answer):
		return nil, &fault.Failure{
			Code: exitcode.Untrusted, Reason: "the keys of " + clean.Text(d.of.String()) + " cannot be fetched", Err: err,
			Hints: []string{"check the address"},
		}
	case err != nil && !errors.Is(err, omemo.ErrNoDevice):
		return nil, err
	}
	if d.keys == nil {
		if d.keys, err = d.reopen(ctx); err != nil {
			return nil, err
		}
	}
	list, err := d.known(ctx)
	return append(list, slices.DeleteFunc(changed, func(dev device) bool { return !d.about(dev) })...), err
}

// byClaim decides about the keys that the user gave, all or none.
func (d *decider) byClaim(ctx context.Context) error {
	if err := d.notOurs(); err != nil {
		return err
	}
	list, err := d.known(ctx)
	if err != nil {
		return err
	}
	if _, err := d.match(list); err != nil {
		if list, err = d.learn(ctx); err != nil {
			return err
		}
	}
	devices, err := d.match(list)
	if err != nil {
		return err
	}
	return d.decide(ctx, devices)
}

// notOurs refuses the key of this very device: there is nothing to decide.
func (d *decider) notOurs() error {
	if d.keys == nil {
		return nil
	}
	_, own := d.keys.Device()
	if slices.ContainsFunc(d.claims, func(c claim) bool { return c.of == d.self && c.fingerprint == own }) {
		return usagef("this is the key of this device itself").hint("see `%s`", d.again("trust", "list"))
	}
	return nil
}

// match finds the devices that the claims are about. A key that no device has is
// what somebody in between would look like.
func (d *decider) match(list []device) ([]device, error) {
	var out []device
	for _, c := range d.claims {
		who := clean.Text(c.of.String())
		wrong := &fault.Failure{Code: exitcode.Untrusted, Hints: []string{
			"see `" + d.again("trust", "list", c.of.String()) + "`",
			"if this is what the contact's device shows, somebody in between may be showing you another one: send nothing",
		}}
		i := slices.IndexFunc(list, func(dev device) bool {
			return dev.Fingerprint == c.fingerprint && (c.id == 0 || c.id == dev.ID)
		})
		if i >= 0 {
			out = append(out, list[i])
			continue
		}
		wrong.Reason = fmt.Sprintf("no known device of %s has the key %s", who, groups(c.fingerprint))
		if j := slices.IndexFunc(list, func(dev device) bool { return dev.Fingerprint == c.fingerprint }); j >= 0 {
			wrong.Reason = fmt.Sprintf("the key %s is that of device %d of %s, not of device %d", groups(c.fingerprint), list[j].ID, who, c.id)
		}
		if j := slices.IndexFunc(list, func(dev device) bool { return c.id != 0 && dev.ID == c.id && dev.Fingerprint != "" }); j >= 0 {
			wrong.Reason = fmt.Sprintf("device %d of %s has the key %s, not %s", c.id, who, groups(list[j].Fingerprint), groups(c.fingerprint))
		}
		return nil, wrong
	}
	return out, nil
}

// open returns the devices of the contact that there is something to ask about.
// When it knows of none, and a contact was named, it asks the server.
func (d *decider) open(ctx context.Context) ([]device, error) {
	settled := func(dev device) bool { return dev.Fingerprint == "" || !dev.Active || !d.about(dev) }
	list, err := d.known(ctx)
	if err != nil {
		return nil, err
	}
	none := len(list) == 0
	list = slices.DeleteFunc(list, settled)
	if d.of.IsZero() || !d.interactive() || !none && (len(list) > 0 || !d.looks) {
		return list, nil
	}
	if list, err = d.learn(ctx); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, &fault.Failure{Code: exitcode.Untrusted, Reason: clean.Text(d.of.String()) + " has no OMEMO device"}
	}
	return slices.DeleteFunc(list, settled), nil
}

// byAsking shows the keys one by one and asks.
func (d *decider) byAsking(ctx context.Context) error {
	list, err := d.open(ctx)
	if err != nil {
		return err
	}
	if !d.interactive() {
		return d.cannotAsk(list)
	}
	if len(list) == 0 {
		d.print.Note("there is nothing to decide")
		return nil
	}
	agreed, err := d.askEach(ctx, list)
	if err != nil {
		return err
	}
	return d.decide(ctx, agreed)
}

// cannotAsk gives the exact command for each key instead of a question, and for one
// that is to be verified the key as people compare it.
func (d *decider) cannotAsk(list []device) error {
	err := usagef("there is no terminal to ask on")
	for i, dev := range list {
		if i == maxCandidates {
			return err.hint("all keys: `%s`", d.again("trust", "list", d.of.String()))
		}
		run := fmt.Sprintf("run `%s` (device %d)", d.again("trust", d.verb, dev.JID.String(), dev.Fingerprint), dev.ID)
		if d.compares {
			run = "after comparing " + groups(dev.Fingerprint) + ": " + run
		}
		err = err.hint("%s", run)
	}
	if len(list) == 0 {
		err = err.hint("run `%s FINGERPRINT`", d.again("trust", d.verb, d.of.String()))
	}
	return err
}

// askEach returns the devices for which the answer was yes.
func (d *decider) askEach(ctx context.Context, list []device) ([]device, error) {
	t, err := d.OpenTTY()
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.Close() }() // nothing is left in it
	defer d.console.hold()()
	var agreed []device
	for _, dev := range list {
		r := d.recordOf(dev)
		was := r.used()
		if dev.Known != "" {
			was = "so far " + groups(dev.Known)
		}
		answer, err := t.Ask(ctx, fmt.Sprintf("%s, device %d (%s, %s)\n%s\n%s", clean.Text(r.JID), r.ID, r.Trust, was, keyLines(r.Fingerprint), d.ask))
		if err != nil {
			return nil, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			agreed = append(agreed, dev)
		}
	}
	return agreed, nil
}

// decide stores the verdict, and shows what it means for the contact's devices.
func (d *decider) decide(ctx context.Context, devices []device) error {
	if len(devices) == 0 {
		d.print.Note("nothing has changed")
		return nil
	}
	for _, dev := range devices {
		if err := d.store(ctx, d.keys, dev); err != nil {
			return err
		}
		d.print.Note("%s: device %d of %s", d.done, dev.ID, clean.Text(dev.JID.String()))
	}
	list, err := d.known(ctx)
	if err != nil {
		return err
	}
	concerns := func(dev device) bool {
		return slices.ContainsFunc(devices, func(decided device) bool { return decided.JID == dev.JID })
	}
	list = slices.DeleteFunc(list, func(dev device) bool { return !concerns(dev) })
	var rows []record
	for _, dev := range list {
		rows = append(rows, d.recordOf(dev))
		if dev.Trust == omemo.Undecided.String() && dev.Active {
			d.print.Note("not used any more until it is verified: device %d of %s", dev.ID, clean.Text(dev.JID.String()))
		}
	}
	d.print.Rows(rows)
	return nil
}
