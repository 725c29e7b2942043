package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// nsVersion is XEP-0092.
const nsVersion = "jabber:iq:version"

// maxClients bounds the clients of a contact that are asked, askedAtOnce those
// at the same time.
const (
	maxClients  = 20
	askedAtOnce = 8
)

// SubscriptionDetails are what the check "subscription" found.
type SubscriptionDetails struct {
	Subscription string `json:"subscription"` // none, to, from, both
	Asked        bool   `json:"asked"`        // we asked and they have not answered
	Asks         bool   `json:"asks"`         // they ask to see us
}

// ClientDetails are what the check "client" found about one client.
type ClientDetails struct {
	JID        string   `json:"jid"`
	Priority   int      `json:"priority"`
	Show       string   `json:"show,omitempty"` // away, chat, dnd, xa
	Name       string   `json:"name,omitempty"`
	Version    string   `json:"version,omitempty"`
	Form       string   `json:"form"`             // jetsend:1, jet, encrypted-file, none
	Capable    bool     `json:"capable"`          // this version can send to it
	Reason     string   `json:"reason,omitempty"` // why not
	Transports []string `json:"transports"`
}

// InterruptedDetails are what the check "interrupted" found.
type InterruptedDetails struct {
	Transfer  string `json:"transfer"`
	Direction string `json:"direction"`
	Name      string `json:"name"`
	Bytes     int64  `json:"bytes"`
	Size      int64  `json:"size"`
	Resumable bool   `json:"resumable"`
}

// subscription reports whether we can see the contact online.
func (d *doctor) subscription(ctx context.Context, bare jid.JID) bool {
	s, err := d.contacts.Subscription(ctx, bare)
	if err != nil {
		d.add(AreaContact, "subscription", StatusWarn, "the list of contacts cannot be fetched: "+clean.Error(err), nil)
		return true
	}
	d.found(subscriptionFinding(SubscriptionDetails(s), clean.Text(bare.String()), d.contacts.AskToAccept()))
	return s.Sees()
}

// subscriptionFinding tells of the subscription; accept is what to do about a request
// of ours.
func subscriptionFinding(s SubscriptionDetails, who, accept string) Finding {
	f := Finding{Area: AreaContact, Check: "subscription", Status: StatusOK, Details: s}
	switch {
	case s.Subscription == "both":
		f.Text = "both see each other online"
	case s.Subscription == "to":
		f.Text = "we see " + who + " online"
	case s.Asked:
		f.Status, f.Text = StatusWarn, who+" has not answered that we ask to see it online"
		f.Hints = []string{accept}
	default:
		f.Status, f.Text = StatusWarn, "without a presence subscription "+who+" is never seen online"
		f.Hints = []string{"run `jetsend contacts add " + clean.Argument(who) + "`"}
	}
	if s.Asks {
		f.Hints = append(f.Hints, who+" asks to see us: run `jetsend contacts accept "+clean.Argument(who)+"`")
	}
	return f
}

// clients tells of the contact's clients that are online, or of the one named.
func (d *doctor) clients(ctx context.Context) {
	to := d.opt.To
	resources := []session.Resource{{JID: to}}
	if to.IsBare() {
		resources = d.contacts.Others(to)
	}
	resources = resources[:min(len(resources), maxClients)]
	found := make([]Finding, len(resources))
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for i, r := range resources {
		group.Go(func() error {
			found[i] = d.client(ctx, r)
			return nil
		})
	}
	_ = group.Wait() // a client that does not answer is a finding
	for _, f := range found {
		d.found(f)
	}
	if len(resources) == 0 {
		d.add(AreaContact, "client", StatusWarn, "no client of "+clean.Text(to.String())+" is seen online", nil, d.contacts.RunReceive(to))
	}
}

// client asks one client what it is.
func (d *doctor) client(ctx context.Context, r session.Resource) Finding {
	ctx, cancel := context.WithTimeout(ctx, contact.DiscoWait)
	defer cancel()
	c := ClientDetails{JID: clean.Text(r.JID.String()), Priority: r.Priority, Show: r.Show, Form: dialect.WordNone, Transports: []string{}}
	f := Finding{Area: AreaContact, Check: "client", Status: StatusWarn}
	var wg sync.WaitGroup
	wg.Go(func() { c.Name, c.Version = d.software(ctx, r.JID) })
	info, err := d.account.DiscoInfo(ctx, r.JID, "")
	wg.Wait()
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused):
		c.Reason = "not online, or it tells us nothing"
	case err != nil:
		c.Reason = "does not answer"
	default:
		p := contact.Describe(r.JID, info, r.Caps)
		c.Form, c.Reason = formNameOf(p, info.Has)
		c.Capable = p.Form != dialect.FormNone
		slices.Sort(p.Transports)
		slices.Reverse(p.Transports) // s5b first, as everywhere
		c.Transports = append(c.Transports, p.Transports...)
		if c.Name == "" {
			c.Name = contact.NameOf(info)
		}
	}
	software := strings.TrimSpace(c.Name + " " + c.Version)
	if software == "" {
		software = "unknown client"
	}
	f.Text = c.JID + " (" + software + "): " + c.Reason
	if c.Capable {
		f.Status, f.Text = StatusOK, fmt.Sprintf("%s (%s): %s over %s", c.JID, software, c.Form, strings.Join(c.Transports, ", "))
		if len(c.Transports) == 0 {
			f.Status, f.Text = StatusWarn, fmt.Sprintf("%s (%s): %s, but no transport that works", c.JID, software, c.Form)
		}
	}
	f.Details = c
	return f
}

// software asks a client for its name and version (XEP-0092); "" if it does not say.
func (d *doctor) software(ctx context.Context, full jid.JID) (name, version string) {
	v, err := d.account.IQ(ctx, full, stanza.Get, xmltree.New(nsVersion, "query"))
	if err != nil {
		return "", ""
	}
	return clean.Text(v.ChildText(nsVersion, "name")), clean.Text(v.ChildText(nsVersion, "version"))
}

// maxInterrupted bounds the interrupted transfers that are told one by one.
const maxInterrupted = 10

// interrupted tells what is still to be gone on with.
func (d *doctor) interrupted(ctx context.Context) {
	rows, err := d.e.Interrupted(ctx, d.opt.To)
	switch {
	case err != nil:
		d.add(AreaContact, "interrupted", StatusWarn, "the journal cannot be read: "+clean.Error(err), nil)
	case len(rows) == 0:
		d.add(AreaContact, "interrupted", StatusOK, "no interrupted transfer", nil)
	}
	for _, r := range rows[max(0, len(rows)-maxInterrupted):] {
		details := InterruptedDetails{r.ID, string(r.Direction), clean.Text(r.Name), r.Durable, r.Size, r.Profile}
		f := Finding{Area: AreaContact, Check: "interrupted", Status: StatusWarn, Details: details}
		f.Text = fmt.Sprintf("interrupted (%s): %s, %d of %d bytes", details.Direction, details.Name, r.Durable, r.Size)
		switch {
		case r.Paused == journal.PausedThere: // whose word it is
			f.Hints = []string{"ask the contact to run `jetsend resume`"}
		case r.Profile:
			f.Hints = []string{"run `jetsend resume " + r.ID[:8] + "` to go on"}
		}
		d.found(f)
	}
}
