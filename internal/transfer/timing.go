package transfer

import (
	"time"

	"jetsend/internal/backoff"
)

// timing holds the waits of a transfer, apart so that tests can do without them. Each is
// a pause, or bounds how long a peer that says nothing is waited for.
type timing struct {
	// retries are the pauses between the attempts of one run. They are copied, as the
	// others are, by whoever tries.
	retries backoff.Backoff
	// takeTime is how long a new session waits for the one before it, or for another
	// process, to let go of a transfer; takePause is the pace of looking.
	takeTime, takePause time.Duration

	// wordTime bounds one try to bring the peer a word of ours, and words are the pauses
	// between the tries while one of us cannot be reached.
	wordTime time.Duration
	words    backoff.Backoff
	// watchEvery is the pace of asking whether the peer still knows the session.
	watchEvery time.Duration
	// lostWordTime is how long a word is awaited that the peer may have sent while we
	// were away; it tries again for about as long.
	lostWordTime time.Duration
	// reasonTime is how long a lost path waits for the peer's own word on it.
	reasonTime time.Duration
	// goodbyeTime is how long a sender waits for the receiver's terminate after the
	// receipt, before it ends the session itself.
	goodbyeTime time.Duration
	// checksumTime is how long a receiver that has the whole file, its tag verified, waits
	// for a checksum that the offer announced. The document does not oblige the sender to
	// tell it.
	checksumTime time.Duration
	// tagHold is how long the tag of a file is held back from a client that seals no
	// receipt. Conversations that could not open the envelope takes what comes for the
	// file, ends at <size/> bytes and says success: before the tag that is known to be
	// false. One that decrypts waits for the tag.
	tagHold time.Duration

	// lookAtLeast is how often a receiver looks when nothing happens.
	lookAtLeast time.Duration
	// lookPause gathers what happens at the same time into one look of the keeper.
	lookPause time.Duration
	// firstAsk leaves the sender, who may be about to go on by itself, the first word
	// after an interruption.
	firstAsk time.Duration
	// requests are the pauses between the requests for one transfer; a contact who has come
	// online is asked at once.
	requests backoff.Backoff
	// nextOffer is how long a run with --once waits for the next file of its batch while
	// none of it is under way. A sender offers one right after the other; one that stopped,
	// or had a file that it could not send, would keep the run for ever.
	nextOffer time.Duration
}

// usual is the timing of every run.
var usual = timing{
	retries:   backoff.Backoff{First: time.Second, Last: time.Minute},
	takeTime:  10 * time.Second,
	takePause: 250 * time.Millisecond,

	wordTime:     5 * time.Second,
	words:        backoff.Backoff{First: 2 * time.Second, Last: 8 * time.Second},
	watchEvery:   5 * time.Second,
	lostWordTime: 40 * time.Second,
	reasonTime:   2 * time.Second,
	goodbyeTime:  5 * time.Second,
	checksumTime: 5 * time.Second,
	tagHold:      time.Second,

	lookAtLeast: time.Minute,
	lookPause:   500 * time.Millisecond,
	firstAsk:    3 * time.Second,
	requests:    backoff.Backoff{First: 20 * time.Second, Last: time.Hour},
	nextOffer:   30 * time.Second,
}

// quick is that of tests which are about something else: pauses are short, and a word
// that is waited for still has the time that a busy machine takes.
var quick = func() timing {
	t := usual
	t.retries.First = 50 * time.Millisecond
	t.takePause = 10 * time.Millisecond
	t.words.First = 100 * time.Millisecond
	t.watchEvery = 500 * time.Millisecond
	t.reasonTime = 500 * time.Millisecond
	t.goodbyeTime = time.Second
	t.tagHold = time.Millisecond
	t.lookPause = 20 * time.Millisecond
	t.firstAsk = 300 * time.Millisecond
	t.requests.First = 500 * time.Millisecond
	return t
}()

func timingOf(isQuick bool) timing {
	if isQuick {
		return quick
	}
	return usual
}
