package doctor

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// The PEP node of a bundle is this and the device id (XEP-0384 0.3.0 section 4.3).
const bundleNode = omemo.NS + ".bundles:"

const (
	// maxLooked bounds the devices of one account that are looked at: more are
	// not encrypted to either.
	maxLooked = 50
	// looksAtOnce bounds the bundles that are fetched at the same time.
	looksAtOnce = 4
	// keySize is the length of an identity key with its type byte.
	keySize = 33
)

// DeviceReport is an OMEMO device as its account publishes it, beside what is
// known of it here.
type DeviceReport struct {
	ID          uint32 `json:"id"`
	Fingerprint string `json:"fingerprint"`       // of the published key, else of the known one; "" when neither is there
	Trust       string `json:"trust"`             // blind, verified, undecided, distrusted
	New         bool   `json:"new"`               // not part of any transfer so far
	Known       string `json:"known,omitempty"`   // fingerprint of the known key, when another one is published
	Usable      bool   `json:"usable"`            // a send encrypts to it
	Problem     string `json:"problem,omitempty"` // why its keys cannot be had
}

// publishedDevice is a device with what does not go into a report.
type publishedDevice struct {
	DeviceReport
	key     []byte // nil when no bundle can be had
	prekeys int
	trust   omemo.Trust
}

// published looks at the devices of an account as anybody could who wants to
// encrypt to them, and writes nothing down: neither list nor key nor session.
// It is the look before the leap; package omemo checks all of it again, and the
// bundles' signatures, when it does encrypt.
func (d *doctor) published(ctx context.Context, of jid.JID) ([]publishedDevice, error) {
	known, err := d.keys.Devices(ctx, of)
	if err != nil {
		return nil, err
	}
	ids, err := d.listed(ctx, of, known)
	if err != nil {
		return nil, err
	}
	out := make([]publishedDevice, len(ids))
	var group errgroup.Group
	group.SetLimit(looksAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			out[i] = d.look(ctx, of, id)
			return nil
		})
	}
	_ = group.Wait() // each device tells its own trouble
	for i := range out {
		out[i].compare(known, d.config.Trust)
	}
	return out, context.Cause(ctx)
}

// listed are the ids of the published list; when the other side gives none to
// us, those of the stored one, as when something is encrypted.
func (d *doctor) listed(ctx context.Context, of jid.JID, known []omemo.Device) (ids []uint32, err error) {
	items, err := d.account.Items(ctx, of, omemo.NodeDevices)
	var refused *stanza.Error
	switch {
	case err == nil:
		return parseDeviceIDs(items), nil
	case !errors.As(err, &refused):
		return nil, err
	}
	for _, d := range known {
		if d.Active {
			ids = append(ids, d.ID)
		}
	}
	if len(ids) == 0 && refused.Condition != stanza.ItemNotFound {
		return nil, err
	}
	return ids, nil
}

// parseDeviceIDs reads a device list (XEP-0384 0.3.0 section 4.2).
func parseDeviceIDs(items []*xmltree.Element) (ids []uint32) {
	for _, item := range items {
		for _, d := range item.Child(omemo.NS, "list").All(omemo.NS, "device") {
			n, err := strconv.ParseUint(strings.TrimSpace(d.Attr("id")), 10, 31)
			if err == nil && n > 0 && !slices.Contains(ids, uint32(n)) && len(ids) < maxLooked {
				ids = append(ids, uint32(n))
			}
		}
	}
	return ids
}

// look fetches the bundle of a device.
func (d *doctor) look(ctx context.Context, of jid.JID, id uint32) publishedDevice {
	p := publishedDevice{DeviceReport: DeviceReport{ID: id}}
	items, err := d.account.Items(ctx, of, bundleNode+strconv.FormatUint(uint64(id), 10))
	if err == nil {
		p.key, p.prekeys, err = parseIdentity(items)
	}
	if err != nil {
		p.Problem = "its bundle cannot be fetched: " + clean.Error(err)
	}
	return p
}

// errNoBundle: the node of a bundle holds none.
var errNoBundle = errors.New("not a bundle")

// parseIdentity reads the identity key out of a bundle, and counts its prekeys.
func parseIdentity(items []*xmltree.Element) (key []byte, prekeys int, err error) {
	for _, item := range items {
		b := item.Child(omemo.NS, "bundle")
		if b == nil {
			continue
		}
		text := strings.Join(strings.Fields(b.ChildText(omemo.NS, "identityKey")), "")
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != keySize || b.Child(omemo.NS, "signedPreKeyPublic") == nil || b.Child(omemo.NS, "signedPreKeySignature") == nil {
			return nil, 0, errNoBundle
		}
		return key, len(b.Child(omemo.NS, "prekeys").All(omemo.NS, "preKeyPublic")), nil
	}
	return nil, 0, errNoBundle
}

// compare sets a published device beside what is known of its account. mode says what
// becomes of a key that is not known.
func (p *publishedDevice) compare(known []omemo.Device, mode omemo.TrustMode) {
	p.New, p.trust = true, omemo.Undecided
	verified := slices.ContainsFunc(known, func(k omemo.Device) bool { return k.Trust == omemo.Verified })
	if mode == omemo.BlindMode && !verified {
		p.trust = omemo.Blind
	}
	if len(p.key) == keySize {
		p.Fingerprint = hex.EncodeToString(p.key[1:])
	}
	for _, k := range known {
		if k.ID != p.ID {
			continue
		}
		p.New, p.trust = k.New, k.Trust
		if p.Fingerprint == "" {
			p.Fingerprint = k.Fingerprint
		} else if k.Fingerprint != "" && k.Fingerprint != p.Fingerprint {
			p.Known = k.Fingerprint
		}
	}
	p.Trust = p.trust.String()
	p.Usable = p.Fingerprint != "" && p.Known == "" && (p.trust == omemo.Blind || p.trust == omemo.Verified)
}

// refusal is why a send does not encrypt to the device, or nil.
func (p *publishedDevice) refusal(of jid.JID) error {
	t := &omemo.TrustError{JID: of, Device: p.ID, Fingerprint: p.Fingerprint, Known: p.Known}
	switch {
	case p.Usable:
		return nil
	case p.Known != "":
		t.Kind = omemo.Changed
	case p.Fingerprint == "":
		return errors.New(p.Problem)
	case p.trust == omemo.Distrusted:
		t.Kind = omemo.Revoked
	default:
		t.Kind = omemo.Unverified
	}
	return t
}

// recipients are the devices of a contact that a send encrypts to, or the error
// that it ends with when there are none.
func (d *doctor) recipients(ctx context.Context, of jid.JID) (usable []publishedDevice, err error) {
	all, err := d.contactDevices(ctx, of)
	if err != nil {
		return nil, err
	}
	err = omemo.ErrNoDevice
	for _, p := range all {
		if refusal := p.refusal(of); refusal != nil {
			err = fmt.Errorf("%w; device %d: %w", err, p.ID, refusal)
			continue
		}
		usable = append(usable, p)
	}
	if len(usable) > 0 {
		err = nil
	}
	return usable, err
}

// contactDevices is published without our own device: nothing is encrypted to it.
func (d *doctor) contactDevices(ctx context.Context, of jid.JID) ([]publishedDevice, error) {
	all, err := d.published(ctx, of)
	if of == d.account.JID().Bare() {
		all = slices.DeleteFunc(all, func(p publishedDevice) bool { return p.ID == d.keys.DeviceID() })
	}
	return all, err
}

// devices tells of the contact's devices, and whether there is one to encrypt to.
func (d *doctor) devices(ctx context.Context) {
	bare := d.opt.To.Bare()
	who := clean.Text(bare.String())
	all, err := d.contactDevices(ctx, bare)
	if err != nil {
		f := failed(AreaContact, "devices", fault.New(contact.NoKeys(bare, err), false))
		f.Hints = []string{fault.NoOMEMO}
		d.found(f)
		return
	}
	met := slices.ContainsFunc(all, func(p publishedDevice) bool { return !p.New })
	usable := 0
	for i := range all {
		d.found(deviceFinding(&all[i], who, met))
		if all[i].Usable {
			usable++
		}
	}
	f := Finding{Area: AreaContact, Check: "devices", Status: StatusOK}
	switch {
	case len(all) == 0:
		f.Status, f.Code = StatusFail, int(exitcode.Untrusted)
		f.Text = who + " publishes no OMEMO device, so there is no key to encrypt to"
		f.Hints = []string{fault.NoOMEMO}
	case usable == 0:
		f.Status, f.Code = StatusFail, int(exitcode.Untrusted)
		f.Text = fmt.Sprintf("none of the %d devices of %s has a key that may be used", len(all), who)
		f.Hints = []string{"see `jetsend trust list " + clean.Argument(who) + "`"}
	default:
		f.Text = fmt.Sprintf("a send encrypts to %d of %d devices", usable, len(all))
	}
	d.found(f)
}

// deviceFinding tells of one device. met says that a transfer with another
// device of the contact has been: then a new one is worth a look.
func deviceFinding(p *publishedDevice, who string, met bool) Finding {
	f := Finding{Area: AreaContact, Check: "device", Status: StatusOK, Details: p.DeviceReport}
	f.Text = fmt.Sprintf("device %d, key %s, %s", p.ID, fault.Grouped(p.Fingerprint), p.Trust)
	run := "run `jetsend trust verify " + clean.Argument(who) + " " + p.Fingerprint + "`"
	verify := "compare the key with what the contact's device shows; if it is the same, " + run
	switch {
	case p.Known != "":
		f.Status, f.Text = StatusWarn, fmt.Sprintf("device %d shows another key than before: %s, not %s", p.ID, fault.Grouped(p.Fingerprint), fault.Grouped(p.Known))
		f.Hints = []string{
			"compare it with " + who + " in another way",
			"only if their device really shows it, " + run,
		}
	case p.Fingerprint == "":
		f.Status, f.Text = StatusWarn, fmt.Sprintf("device %d: %s", p.ID, p.Problem)
	case p.trust == omemo.Distrusted:
		f.Status = StatusWarn
		f.Hints = []string{"you refused this key; to take that back " + run}
	case p.trust == omemo.Undecided:
		f.Status, f.Hints = StatusWarn, []string{verify}
		f.Text += ", not used"
	case p.Problem != "":
		f.Status = StatusWarn
		f.Text += "; " + p.Problem
	case p.New && met:
		f.Status, f.Hints = StatusWarn, []string{verify}
	}
	if p.New && p.Known == "" && p.Fingerprint != "" {
		f.Text += ", new"
	}
	return f
}
