package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/xmltree"
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
	Devices    []DeviceInfo    `json:"devices"` // that get the key
	File       *PlannedFile    `json:"file,omitempty"`
}

// PlannedFile is a file of a plan.
type PlannedFile struct {
	Name string `json:"name"`
	Path string `json:"path"` // absolute
	Size int64  `json:"size"`
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
}

// String is the candidate for people.
func (c CandidateInfo) String() string {
	return c.Type + " " + net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
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
// one plan for each file. To the contact's clients nothing goes but questions
// what they can do; no OMEMO session is begun, no prekey used, and nothing
// written into the journal. The error is that of a Send that ends before the
// contact's answer.
func (e *Endpoint) DryRun(ctx context.Context, opt SendOptions) ([]Plan, error) {
	if err := checkTexts(opt); err != nil {
		return nil, err
	}
	sources, err := e.openSources(ctx, opt)
	if err != nil {
		return nil, err
	}
	defer closeSources(sources)
	e.tellSkipped(sources)
	e.tellRenames(sources)
	common, err := e.plan(ctx, opt, sources)
	if err != nil {
		return nil, e.ended(ctx, err)
	}
	var plans []Plan
	for _, src := range sources {
		p := *common
		if p.File, err = e.planFile(ctx, opt, src, common); err != nil {
			return nil, e.ended(ctx, err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// checkTexts refuses what does not fit into a sealed offer.
func checkTexts(opt SendOptions) error {
	if err := checkText("description", opt.Description, maxDescription); err != nil {
		return err
	}
	for _, f := range opt.Files {
		if err := checkText("name", f.Name, maxGivenName); err != nil {
			return err
		}
	}
	return nil
}

func checkText(what, text string, most int) error {
	n := len(xmltree.AppendEscaped(nil, text))
	if n <= most {
		return nil
	}
	return &Failure{Code: exitcode.Usage, Reason: fmt.Sprintf("a %s of %d bytes as XML; at most %d fit", what, n, most)}
}

// plan decides as Send does: who gets the offer, in what form, by what path and
// with the key for whom.
func (e *Endpoint) plan(ctx context.Context, opt SendOptions, sources []*source) (*Plan, error) {
	peers, err := e.choose(ctx, opt)
	if err == nil {
		err = e.guardForm(ctx, peers[0], opt)
	}
	if err == nil {
		err = checkPeer(peers[0], opt, sources)
	}
	if err != nil {
		return nil, err
	}
	to := peers[0]
	profile := to.Form == formJetsend
	p := &Plan{
		To: clean.Text(to.JID.String()), Form: to.Form.Name(), Encryption: to.Form.Word(), Cipher: to.Form.Suite(opt.Cipher).Name(),
		NameHidden: profile, Receipt: profile,
	}
	if p.Transports, p.Candidates, err = e.paths(ctx, to, opt.Route); err != nil {
		return nil, err
	}
	if to.Form == formInsecurePlaintext {
		p.Devices = []DeviceInfo{}
		return p, nil
	}
	devices, err := e.recipients(ctx, to.JID.Bare())
	if err != nil {
		return nil, wrapFailed(to, err)
	}
	for _, d := range devices {
		p.Devices = append(p.Devices, DeviceInfo{ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust, New: d.New})
	}
	return p, nil
}

// paths are the transports that an offer allows, and where this machine could
// be reached. Its listeners are closed again.
func (e *Endpoint) paths(ctx context.Context, to *peer, opt RouteOptions) ([]string, []CandidateInfo, error) {
	r, err := e.offerRoute(ctx, to, opt)
	if err != nil {
		return nil, nil, err
	}
	defer r.close()
	candidates := []CandidateInfo{}
	if r.socks == nil {
		return r.allowed[:1], candidates, nil // in-band first is in-band only
	}
	t, err := s5b.ParseTransport(r.socks.Element())
	if err != nil {
		return nil, nil, err
	}
	for _, c := range t.Candidates {
		info := CandidateInfo{Type: "direct", Host: c.Host, Port: c.Port}
		if c.Type == s5b.Mediated {
			info.Type = "proxy"
		}
		candidates = append(candidates, info)
	}
	return r.allowed, candidates, nil
}

// planFile says what of a file would be sent.
func (e *Endpoint) planFile(ctx context.Context, opt SendOptions, src *source, p *Plan) (*PlannedFile, error) {
	f := &PlannedFile{Name: src.Name, Path: src.Path, Size: src.Size}
	if opt.NoResume || p.Form != formNameJetsend {
		return f, nil
	}
	o := e.outgoing(opt, src)
	o.form = formJetsend
	row, err := e.journal.Find(ctx, o.rowOf())
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
func formNameOf(p *peer, has func(feature string) bool) (name, why string) {
	switch {
	case p.Form != formNone:
		return p.Form.Name(), ""
	case !has(jingle.NS) || !has(jingle.NSFile) && !has(jingle.NSEncryptedFile):
		return formNameNone, "takes no files (Jingle file transfer)"
	case p.Software == libervia:
		return formNameNone, "Libervia opens no standard envelope"
	case !has(jingle.NSJET):
		return formNameNone, "takes files, but not encrypted ones (XEP-0391)"
	}
	return formNameNone, "takes encrypted files, but not with OMEMO keys (XEP-0396)"
}

// ownPeer stands for a client like this one, to see what it could be offered.
func ownPeer(self jid.JID) *peer {
	return &peer{JID: self, Form: formJetsend, Transports: slices.Clone(RouteOptions{}.order())}
}
