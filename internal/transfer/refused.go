package transfer

import (
	"context"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

const (
	// contentName is the name of our one content.
	contentName = "file"
	// envelopeType is the type attribute of our <security/>.
	envelopeType = omemo.NS
)

// rebuilt begins new OMEMO sessions with the devices of a contact and reports whether
// there is one: the two sides may have different ones.
func (e *core) rebuilt(ctx context.Context, with jid.JID) bool {
	err := e.omemo.Rebuild(ctx, e.sess, with.Bare())
	if err != nil {
		e.log.Warn("rebuild sessions", "with", with.Bare(), "error", err)
	}
	return err == nil
}
