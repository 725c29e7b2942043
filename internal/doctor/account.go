package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	nsPing           = "urn:xmpp:ping"                                     // XEP-0199
	nsCarbons        = "urn:xmpp:carbons:2"                                // XEP-0280
	nsPublishOptions = "http://jabber.org/protocol/pubsub#publish-options" // XEP-0060 section 7.1.5
	categoryPubSub   = "pubsub"                                            // XEP-0163 section 6.1
	typePEP          = "pep"
)

// manyDevices is how many own devices are worth a word: every contact encrypts
// to all of them, and at ten no new one is added.
const manyDevices = 8

// LoginDetails are what the check "login" found.
type LoginDetails struct {
	JID       string `json:"jid"`
	Mechanism string `json:"mechanism"`
	Address   string `json:"address,omitempty"` // host:port of the server
}

// RoundTripDetails are what the check "roundtrip" found.
type RoundTripDetails struct {
	Seconds float64 `json:"seconds"`
}

// ManagementDetails are what the check "stream-management" found.
type ManagementDetails struct {
	Enabled   bool `json:"enabled"`
	Resumable bool `json:"resumable"`
	Seconds   int  `json:"seconds"` // for how long a lost stream can be resumed
}

// PEPDetails are what the check "pep" found.
type PEPDetails struct {
	PEP            bool `json:"pep"`
	PublishOptions bool `json:"publish_options"`
}

// PresenceDetails are what the check "presence" found.
type PresenceDetails struct {
	Priority int      `json:"priority"` // of this command
	Carbons  bool     `json:"carbons"`  // the server copies chats to all clients
	Clients  []string `json:"clients"`  // full JIDs of the account's others that are online
}

// OwnDeviceDetails are what the check "omemo" found.
type OwnDeviceDetails struct {
	ID          uint32 `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Listed      bool   `json:"listed"`  // on the account's device list
	Bundle      bool   `json:"bundle"`  // published, with our key
	Prekeys     int    `json:"prekeys"` // in the published bundle
	Current     bool   `json:"current"` // nothing is waiting to be published
}

// DevicesDetails are what the check "own-devices" found.
type DevicesDetails struct {
	Devices []DeviceReport `json:"devices"`
}

// lookAtAccount looks at the account online. An error means that it is so no longer.
func (d *doctor) lookAtAccount(ctx context.Context) error {
	s := d.account
	login := LoginDetails{JID: clean.Text(s.JID().String()), Mechanism: s.Mechanism()}
	if l := s.Link(); l != nil {
		login.Address = clean.Text(l.Address)
	}
	d.add(AreaAccount, "login", StatusOK, "logged in as "+login.JID+" with "+login.Mechanism, login)
	if err := d.roundTrip(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		gone := &fault.Failure{Code: exitcode.Unreachable, Reason: "the server does not answer any more", Err: err}
		d.found(failed(AreaAccount, "roundtrip", gone))
		return gone
	}
	d.management()
	d.services(ctx)
	d.ownDevices(ctx)
	return context.Cause(ctx)
}

// roundTrip measures a question to the server. It comes first: behind its
// answer, everything is here that the server had to tell about others.
func (d *doctor) roundTrip(ctx context.Context) error {
	server, err := jid.Parse(d.account.JID().Domain())
	if err != nil {
		return err
	}
	begun := time.Now()
	_, err = d.account.IQ(ctx, server, stanza.Get, xmltree.New(nsPing, "ping"))
	var refused *stanza.Error
	if err != nil && !errors.As(err, &refused) { // an answer all the same
		return err
	}
	took := time.Since(begun)
	d.add(AreaAccount, "roundtrip", StatusOK, fmt.Sprintf("%.1f ms to the server and back", took.Seconds()*1000), RoundTripDetails{took.Seconds()})
	return nil
}

func (d *doctor) management() {
	m := d.account.Management()
	details := ManagementDetails{m.Enabled, m.Resumable > 0, int(m.Resumable.Seconds())}
	switch {
	case m.Resumable > 0:
		d.add(AreaAccount, "stream-management", StatusOK, fmt.Sprintf("a lost stream is resumed within %d s", details.Seconds), details)
	case m.Enabled:
		d.add(AreaAccount, "stream-management", StatusWarn, "acknowledgements only: a lost stream needs a new login", details)
	default:
		d.add(AreaAccount, "stream-management", StatusWarn, "none: a lost stream needs a new login, and stanzas under way are sent again", details)
	}
}

// services looks at what the server does for the account.
func (d *doctor) services(ctx context.Context) {
	ask := func(of jid.JID) *session.DiscoInfo {
		ctx, cancel := context.WithTimeout(ctx, contact.DiscoWait)
		defer cancel()
		info, err := d.account.DiscoInfo(ctx, of, "")
		if err != nil {
			d.config.Log.Debug("doctor", "of", of, "error", err)
			return &session.DiscoInfo{}
		}
		return info
	}
	self := d.account.JID()
	own := ask(self.Bare())
	server := &session.DiscoInfo{}
	if domain, err := jid.Parse(self.Domain()); err == nil {
		server = ask(domain)
	}
	var pep PEPDetails
	for _, id := range own.Identities {
		pep.PEP = pep.PEP || id.Category == categoryPubSub && id.Type == typePEP
	}
	pep.PublishOptions = own.Has(nsPublishOptions) || server.Has(nsPublishOptions)
	switch {
	case pep.PEP && pep.PublishOptions:
		d.add(AreaAccount, "pep", StatusOK, "the server publishes keys (PEP), open to everybody (publish-options)", pep)
	case pep.PEP:
		d.add(AreaAccount, "pep", StatusWarn, "PEP without publish-options: contacts without a subscription may not get our keys", pep)
	default:
		d.add(AreaAccount, "pep", StatusWarn, "the server does not say that it publishes keys (PEP)", pep)
	}
	p := PresenceDetails{Priority: int(d.config.Priority), Carbons: server.Has(nsCarbons), Clients: []string{}}
	for _, r := range d.account.Resources(self.Bare()) {
		p.Clients = append(p.Clients, clean.Text(r.JID.String()))
	}
	text := fmt.Sprintf("priority %d, other clients online: %d", p.Priority, len(p.Clients))
	if p.Priority < 0 {
		text += "; no chat message is taken away from them"
	}
	d.add(AreaAccount, "presence", StatusOK, text, p)
}

// ownDevices looks at our OMEMO device as others see it, and at the account's
// others.
func (d *doctor) ownDevices(ctx context.Context) {
	self := d.account.JID().Bare()
	all, err := d.published(ctx, self)
	if err != nil {
		d.add(AreaAccount, "omemo", StatusWarn, "our device list cannot be fetched: "+clean.Error(err), nil, "run `jetsend devices list`")
		return
	}
	own := OwnDeviceDetails{ID: d.keys.DeviceID(), Fingerprint: d.keys.Fingerprint()}
	if waiting, err := d.keys.NeedsAnnounce(ctx); err == nil {
		own.Current = !waiting
	}
	others := DevicesDetails{Devices: []DeviceReport{}}
	for _, dev := range all {
		if dev.ID != own.ID {
			others.Devices = append(others.Devices, dev.DeviceReport)
			continue
		}
		own.Listed, own.Prekeys = true, dev.prekeys
		own.Bundle = dev.key != nil && dev.Fingerprint == own.Fingerprint
	}
	d.found(ownFinding(own))
	d.found(othersFinding(others))
}

func ownFinding(own OwnDeviceDetails) Finding {
	f := Finding{Area: AreaAccount, Check: "omemo", Status: StatusOK, Details: own}
	switch {
	case own.Listed && own.Bundle && own.Current:
		f.Text = fmt.Sprintf("device %d of this machine is published with our key and %d prekeys", own.ID, own.Prekeys)
		return f
	case own.Listed && own.Bundle:
		f.Status, f.Text = StatusWarn, fmt.Sprintf("device %d of this machine is published, but not as it is now", own.ID)
	default: // the receiver would not believe an envelope of ours
		f.Status, f.Code = StatusFail, int(exitcode.Untrusted)
		f.Text = fmt.Sprintf("device %d of this machine is not published as it is: contacts refuse what it sends", own.ID)
	}
	f.Hints = []string{"run `jetsend login` to publish it again"}
	return f
}

func othersFinding(others DevicesDetails) Finding {
	f := Finding{Area: AreaAccount, Check: "own-devices", Status: StatusOK, Details: others}
	var ids []string
	for _, dev := range others.Devices {
		ids = append(ids, fmt.Sprint(dev.ID))
	}
	switch n := len(ids); {
	case n == 0:
		f.Text = "the account has no other device"
	case n >= manyDevices:
		f.Status, f.Text = StatusWarn, fmt.Sprintf("the account has %d other devices, and contacts encrypt to all of them", n)
		f.Hints = []string{"see `jetsend devices list`, and run `jetsend devices remove ID` for those that are not used any more"}
	default:
		f.Text = fmt.Sprintf("other devices of the account: %s", strings.Join(ids, ", "))
	}
	return f
}
