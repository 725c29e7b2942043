// Package acquaint makes two accounts contacts of each other, and verifies the keys of both,
// by an invitation (package invite).
//
// [Book] is what an account knows of invitations: those that it has issued, with who has
// redeemed them, and those that it has taken and that are not confirmed. [Host] is the
// issuer online, [Guest] who redeems. Neither trusts a word that proves nothing: a message
// without a valid MAC changes nothing and gets no answer but that of a stranger.
//
// # What is kept
//
// Not the secret of a link, but the two keys that it is good for; they go some days after
// the invitation has ended, until when whoever has the link is still told why it does not
// work any more. Of a link that was taken they go with the answer.
//
// # What each step stands on
//
// A redemption is one transaction: it is recorded by invitation, address and keys, counted,
// and the named keys are verified, or nothing is. The subscription is accepted after that, and
// recorded as accepted when the list of contacts says so. The same redemption again gets the
// same answer and changes nothing: what the user decides later stays.
package acquaint

import "time"

const (
	// keepEnded is how long an invitation that has ended is told of to who has its link.
	keepEnded = 30 * 24 * time.Hour
	// keepTaken is how long a link that was taken waits for its issuer.
	keepTaken = 30 * 24 * time.Hour
	// MaxIssued bounds the invitations of an account that have not ended.
	MaxIssued = 1000
	// MaxUses bounds how often one may be redeemed.
	MaxUses = 1000
)
