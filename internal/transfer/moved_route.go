package transfer

import (
	"context"
	"fmt"
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/route"
	"jetsend/internal/xmltree"
)

// What package route calls these.
type (
	// RouteOptions is route.Options.
	RouteOptions = route.Options
	// S5BConfig is route.S5BConfig.
	S5BConfig = route.S5BConfig

	bytestream = route.Path
)

// What package route calls these.
const (
	// S5B is route.S5B.
	S5B = route.S5B
	// IBB is route.IBB.
	IBB = route.IBB

	lateAcks = route.LateAcks
)

// newFinder makes the finder of the endpoint, whose account exists.
func (e *Endpoint) newFinder() *route.Finder {
	return route.NewFinder(route.Config{Account: e.sess, Inband: e.ibb, S5B: &e.cfg.S5B, BlockSize: e.cfg.IBBBlockSize, Quick: e.cfg.Quick, Log: e.log})
}

// offerRoute makes the transport for an offer to a peer.
func (e *Endpoint) offerRoute(ctx context.Context, to *peer, opt RouteOptions) (*route.Route, error) {
	return e.routes.Offer(ctx, route.Peer{
		JID: to.JID, Transports: to.Transports, Reports: slices.Contains(to.Takes, formJetsend), Modulo65535: to.Software == libervia,
	}, opt)
}

// answerRoute makes the transport that answers the one of an offer.
func (e *Endpoint) answerRoute(ctx context.Context, from jid.JID, opt RouteOptions, remote *xmltree.Element, libervia bool) (*route.Route, error) {
	return e.routes.Answer(ctx, route.Peer{JID: from, Modulo65535: libervia}, opt, remote)
}

// unacknowledged says of a success what is wrong with it, when all of the file went
// out and a part of it was not acknowledged in time.
func unacknowledged(path *bytestream, err error) error {
	if !path.HandedOver() || !saysSuccess(err) {
		return err
	}
	return fmt.Errorf("the end of the file was never acknowledged: %w", err)
}
