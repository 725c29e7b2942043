package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/goods"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/transfer"
)

// Plan is what a send would do, up to its offer.
type Plan struct {
	To   string `json:"to"`   // full JID of the client that would get the offer
	Form string `json:"form"` // jetsend:1, jet, jet-draft, encrypted-file or none
	// Encryption and Cipher are as in the event "negotiated".
	Encryption string `json:"encryption"`
	Cipher     string `json:"cipher"`
	// NameHidden: the servers do not see the name. Receipt: the end is proved.
	NameHidden bool `json:"name_hidden"`
	Receipt    bool `json:"receipt"`
	// Transports are those that both sides allow, in the order of trying.
	Transports []string        `json:"transports"`
	Candidates []CandidateInfo `json:"candidates"`
	// Meet are the places, address and port, at which the contact's jetsend would be told to
	// meet this one: both dial at the same time, through their routers and firewalls.
	Meet    []string           `json:"meet,omitempty"`
	Devices []event.DeviceInfo `json:"devices"` // that get the key
	File    *PlannedFile       `json:"file,omitempty"`
	// Items and SetSize are how many files and directories go with it in one session, a
	// set, and how many bytes; 0: it goes by itself.
	Items   int   `json:"items,omitempty"`
	SetSize int64 `json:"set_size,omitempty"`
}

// PlannedFile is a file of a plan.
type PlannedFile struct {
	Name string `json:"name"`
	Path string `json:"path"` // absolute
	Size int64  `json:"size"`
	// Directory and Entries, of a set: it is one, with so much in it, itself included.
	Directory bool  `json:"directory,omitempty"`
	Entries   int64 `json:"entries,omitempty"`
	// Since, of a directory that was sent whole before, is what has become of it since: what
	// of it a receiver with --on-conflict update would be sent.
	Since *outset.Since `json:"since,omitempty"`
	// Transfer is the interrupted one that the send would go on with, and
	// ResumedFrom how many bytes the receiver is known to have.
	Transfer    string `json:"transfer,omitempty"`
	ResumedFrom int64  `json:"resumed_from"`
}

// CandidateInfo is a place at which this machine offers to be reached.
type CandidateInfo struct {
	Type string `json:"type"` // direct or proxy
	Host string `json:"host"`
	Port int    `json:"port"`
	// Way is "mapped" where a router leads here.
	Way string `json:"way,omitempty"`
}

// String is the candidate for people.
func (c CandidateInfo) String() string {
	text := c.Type + " " + net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	if c.Way != "" {
		text += ", a port of the router"
	}
	return text
}

// how is the plan in a few words.
func (p *Plan) how() string {
	words := []string{p.Form, p.Cipher, strings.Join(p.Transports, " then "), fmt.Sprintf("key for %d devices", len(p.Devices))}
	if len(p.Devices) == 1 {
		words[3] = "key for 1 device"
	}
	return strings.Join(words, ", ")
}

// DryRun does what Send does up to the offer, and returns what it would offer,
// one plan for each file. The error is that of a Send that ends before the
// contact's answer.
func DryRun(ctx context.Context, e *transfer.Endpoint, opt transfer.SendOptions) ([]Plan, error) {
	g, to, err := e.Look(ctx, opt)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	d := newDoctor(e, opt, nil)
	common, err := d.planTo(ctx, to)
	if err != nil {
		return nil, e.Ended(ctx, err)
	}
	if g.Set != nil {
		plans, err := d.planSet(ctx, g, common)
		return plans, e.Ended(ctx, err)
	}
	var plans []Plan
	for _, src := range g.Sources {
		p := *common
		if p.File, err = d.planFile(ctx, src, common); err != nil {
			return nil, e.Ended(ctx, err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// planSet says what of each argument of a set would be sent.
func (d *doctor) planSet(ctx context.Context, g *goods.Goods, common *Plan) (plans []Plan, err error) {
	row, known, err := d.e.EarlierSet(ctx, d.opt, g)
	goesOn := err == nil && !d.opt.NoResume
	if err != nil && !errors.Is(err, journal.ErrUnknown) {
		return nil, err
	}
	for i, a := range g.Set.Entries() {
		p := *common
		p.Items, p.SetSize = len(g.Set.Arguments()), g.Set.Bytes()
		p.File = &PlannedFile{Name: a.Name, Path: a.Path, Size: a.Size, Directory: a.Folder, Entries: a.Entries}
		if p.File.Since, err = d.e.Since(g.Set, i); err != nil {
			return nil, err
		}
		if goesOn {
			p.File.Transfer = journal.ArgumentID(row.ID, i, p.Items)
			if i < len(known) {
				p.File.ResumedFrom = min(known[i].Durable, a.Size)
			}
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// plan decides as Send does who gets the offer, and what it would be.
func (d *doctor) plan(ctx context.Context) (*Plan, error) {
	to, err := d.e.Choose(ctx, d.opt)
	if err != nil {
		return nil, err
	}
	return d.planTo(ctx, to)
}

// planTo decides as Send does: in what form a client gets the offer, by what path and with
// the key for whom.
func (d *doctor) planTo(ctx context.Context, to *contact.Peer) (_ *Plan, err error) {
	profile := to.Form == dialect.FormJetsend
	p := &Plan{
		To: clean.Text(to.JID.String()), Form: to.Form.Name(), Encryption: to.Form.Word(), Cipher: to.Form.Suite(d.opt.Cipher).Name(),
		NameHidden: profile, Receipt: profile,
	}
	if p.Transports, p.Candidates, p.Meet, err = d.paths(ctx, to, d.opt.Route); err != nil {
		return nil, err
	}
	if to.Form == dialect.FormPlaintext {
		p.Devices = []event.DeviceInfo{}
		return p, nil
	}
	devices, err := d.recipients(ctx, to.JID.Bare())
	if err != nil {
		return nil, contact.NoKeys(to.JID, err)
	}
	for _, k := range devices {
		p.Devices = append(p.Devices, event.DeviceInfo{ID: k.ID, Fingerprint: k.Fingerprint, Trust: k.Trust, New: k.New})
	}
	return p, nil
}

// paths are the transports that an offer allows, and where this machine could be reached,
// and met.
func (d *doctor) paths(ctx context.Context, to *contact.Peer, opt route.Options) (transports []string, candidates []CandidateInfo, meet []string, err error) {
	r, err := d.e.Path(ctx, to, opt)
	if err != nil {
		return nil, nil, nil, err
	}
	defer r.Close()
	candidates = []CandidateInfo{}
	offered := r.Element()
	if !offered.Is(s5b.NS, "transport") {
		return r.Allowed(), candidates, nil, nil
	}
	t, err := s5b.ParseTransport(offered)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, c := range t.Candidates {
		info := CandidateInfo{Type: "direct", Host: c.Host, Port: c.Port}
		switch c.Type {
		case s5b.Mediated:
			info.Type = "proxy"
		case s5b.Assisted:
			info.Way = s5b.Mapped
		}
		candidates = append(candidates, info)
	}
	if p := r.Punch(); p != nil {
		for _, a := range p.Addresses {
			meet = append(meet, a.String())
		}
	}
	return r.Allowed(), candidates, meet, nil
}

// planFile says what of a file would be sent.
func (d *doctor) planFile(ctx context.Context, src *source.Source, p *Plan) (*PlannedFile, error) {
	f := &PlannedFile{Name: src.Name, Path: src.Path, Size: src.Size}
	if d.opt.NoResume || p.Form != dialect.WordJetsend {
		return f, nil
	}
	row, err := d.e.Earlier(ctx, d.opt, src)
	switch {
	case err == nil:
		f.Transfer, f.ResumedFrom = row.ID, row.Durable
	case !errors.Is(err, journal.ErrUnknown):
		return nil, err
	}
	return f, nil
}

// formNameOf is the best form that a client says it takes, and, when this
// version cannot send by it, why.
func formNameOf(p *contact.Peer, has func(feature string) bool) (name, why string) {
	switch {
	case p.Form != dialect.FormNone:
		return p.Form.Name(), ""
	case !has(jingle.NS) || !has(jingle.NSFile) && !has(jingle.NSEncryptedFile):
		return dialect.WordNone, "takes no files (Jingle file transfer)"
	case p.Software == dialect.Libervia:
		return dialect.WordNone, "Libervia opens no standard envelope"
	case !has(jingle.NSJET):
		return dialect.WordNone, "takes files, but not encrypted ones (XEP-0391)"
	}
	return dialect.WordNone, "takes encrypted files, but not with OMEMO keys (XEP-0396)"
}

// ownPeer stands for a client like this one, to see what it could be offered.
func ownPeer(self jid.JID) *contact.Peer {
	return &contact.Peer{JID: self, Form: dialect.FormJetsend, Transports: route.Options{}.Order()}
}
