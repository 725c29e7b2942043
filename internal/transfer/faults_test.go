package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/archive"
	"jetsend/internal/conversation"
	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/source"
	"jetsend/internal/state"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// TestFaults is the table of what ends a session of a transfer that both ends know, in
// our profile: what it is here, on the wire, and at the other end, and who may go on.
func TestFaults(t *testing.T) {
	e := onDisk(t)
	const over, goesOn, paused = journal.Failed, journal.Interrupted, journal.State("paused")
	for name, tt := range map[string]struct {
		err             error
		here            exitcode.Code
		condition, word string // on the wire
		there           exitcode.Code
		ours, theirs    journal.State
	}{
		"SIGINT":                   {fault.ErrInterrupted, 130, jingle.Cancel, fault.DetailPaused, 8, paused, paused},
		"SIGTERM":                  {fault.ErrTerminated, 143, jingle.Cancel, "", 8, goesOn, goesOn},
		"drained":                  {fault.ErrDrained, 143, jingle.Expired, "", 11, goesOn, goesOn},
		"no space":                 {&stream.SinkError{Err: inbox.ErrNoSpace}, 12, jingle.FailedApplication, fault.DetailNoSpace, 12, goesOn, goesOn},
		"name taken at release":    {&stream.SinkError{Err: inbox.ErrExists}, 12, jingle.FailedApplication, fault.DetailExists, 12, over, over},
		"no file of that size":     {&stream.SinkError{Err: inbox.ErrFileSize}, 12, jingle.FailedApplication, fault.DetailFileSize, 12, over, over},
		"disk error":               {&stream.SinkError{Err: syscall.EIO}, 12, jingle.FailedApplication, fault.DetailDisk, 12, goesOn, goesOn},
		"reader of the output":     {&stream.SinkError{Err: fmt.Errorf("%w: %w", fault.ErrOutput, syscall.EPIPE)}, 12, jingle.FailedApplication, fault.DetailOutput, 12, goesOn, goesOn},
		"archive refused":          {fmt.Errorf("%w: %w", fault.ErrDeclined, &archive.RefusedError{}), 8, jingle.Decline, fault.DetailUnpack, 8, over, over},
		"source changed":           {&source.Error{Err: source.ErrChanged}, 12, jingle.FailedApplication, fault.DetailSourceChanged, 12, over, over},
		"source unreadable":        {&source.Error{Err: syscall.EIO}, 12, jingle.FailedApplication, fault.DetailSource, 12, goesOn, goesOn},
		"a path of ours":           {&fs.PathError{Op: "open", Path: "/x", Err: syscall.EMFILE}, 12, jingle.FailedApplication, fault.DetailDisk, 12, goesOn, goesOn},
		"paused, when asked":       {fault.ErrPaused, 8, jingle.Decline, fault.DetailPaused, 8, goesOn, paused},
		"given up, when asked":     {fault.ErrGone, 8, jingle.Decline, fault.DetailGone, 8, goesOn, over},
		"changed, when asked":      {fmt.Errorf("%w: %w", fault.ErrGone, source.ErrChanged), 8, jingle.Decline, fault.DetailSourceChanged, 12, goesOn, over},
		"not to be had":            {fault.ErrRefused, 8, jingle.Decline, "", 8, goesOn, goesOn},
		"another process":          {fault.ErrRunning, 12, jingle.Busy, fault.DetailConflict, 8, goesOn, goesOn},
		"tag":                      {crypto.ErrAuthentication, 10, jingle.SecurityError, "", 10, goesOn, goesOn},
		"more than announced":      {inbox.ErrTooLong, 10, jingle.SecurityError, "", 10, over, goesOn},
		"hash of the whole":        {fault.ErrChecksum, 10, jingle.SecurityError, "", 10, goesOn, goesOn},
		"sealed element":           {profile.ErrSealed, 10, jingle.SecurityError, "", 10, goesOn, goesOn},
		"idle":                     {stream.ErrIdle, 11, jingle.Timeout, "", 11, goesOn, goesOn},
		"no candidate":             {s5b.ErrNoCandidate, 11, jingle.ConnectivityError, "", 11, goesOn, goesOn},
		"unconfirmed":              {fault.ErrUnconfirmed, 11, jingle.ConnectivityError, "", 11, goesOn, goesOn},
		"other bytes":              {fault.ErrPrefix, 11, jingle.AlternativeSession, "", 11, goesOn, goesOn},
		"newer session":            {fault.ErrSuperseded, 11, jingle.AlternativeSession, "", 11, goesOn, goesOn},
		"a fault of the programme": {errors.New("boom"), 1, jingle.GeneralError, "", 8, goesOn, goesOn},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := talkPair(t)
			if f := fault.New(tt.err, true); f.Code != tt.here {
				t.Errorf("code here %d, want %d", f.Code, tt.here)
			}
			told := here.ReasonFor(tt.err)
			if told.Condition != tt.condition || fault.DetailOf(told) != tt.word {
				t.Errorf("on the wire %s %q, want %s %q", told.Condition, fault.DetailOf(told), tt.condition, tt.word)
			}
			heard := there.EndedWith(jingle.ParseReason(told.Element()))
			if f := fault.New(heard, true); f.Code != tt.there {
				t.Errorf("code there %d, want %d", f.Code, tt.there)
			}
			if strings.Contains(heard.Error(), "\n") || tt.word != "" && tt.word != fault.DetailConflict && strings.HasPrefix(heard.Error(), "ended by") {
				t.Errorf("no sentence: %s", heard)
			}
			var source *source.Error
			sends := errors.As(tt.err, &source) // what only a sender can meet
			ours := &upload{row: &journal.Handle{}, form: dialect.FormJetsend, accepted: true, marked: true}
			if got := fault.Of(tt.err).Resumable(ours.standing()); sends && got == (tt.ours == over) {
				t.Errorf("the sender may go on: %v", got)
			}
			if got := leftBy(t, e, tt.err); !sends && got != tt.ours {
				t.Errorf("leftBy %s here, want %s", got, tt.ours)
			}
			if got := leftBy(t, e, heard); got != tt.theirs {
				t.Errorf("leftBy %s there, want %s", got, tt.theirs)
			}
			o := &upload{row: &journal.Handle{}, form: dialect.FormJetsend, accepted: true, marked: true}
			if got := fault.Of(heard).Resumable(o.standing()); got == (tt.theirs == over) {
				t.Errorf("a sender there may go on: %v", got)
			}
			forged := there.EndedWith(jingle.Reason{Condition: told.Condition, Detail: stripped(told.Detail)})
			if got := leftBy(t, e, forged); got != goesOn {
				t.Errorf("who has no key can leave it %s", got)
			}
		})
	}
}

// stripped is a detail without what is sealed.
func stripped(x *xmltree.Element) *xmltree.Element {
	if x == nil {
		return nil
	}
	return xmltree.New(x.Name.Space, x.Name.Local, xmltree.New(profile.NS, x.Children[0].Name.Local))
}

// leftBy is how what ended its session leaves a received transfer of which something
// has come.
func leftBy(t *testing.T, e *Endpoint, cause error) journal.State {
	t.Helper()
	dir, err := inbox.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	row := journal.Row{
		Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
		Name: "f", Dir: dir.Path(""), Size: 100, Source: journal.SourceFile, Keys: [][]byte{make([]byte, 33)},
	}
	d := newDownload(&e.core, row, row.Peer, keeping{})
	if err := d.resume(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	_, err = d.sink.Write(make([]byte, 50))
	if err = errors.Join(err, d.sink.Run(t.Context(), 50), d.sink.Sync(t.Context())); err != nil { // all was here before the session
		t.Fatal(err)
	}
	if err := d.leave(cause).lost; err != nil {
		t.Fatal(err)
	}
	now := load(t, e, row.Key)
	if _, there, err := dir.Remains(row.ID); err != nil || there != (now.Durable > 0) || now.State == journal.Failed && there {
		t.Errorf("%s at %d, and the partial file is there: %v, %v", now.State, now.Durable, there, err)
	}
	if now.Paused != journal.NotPaused {
		return "paused"
	}
	return now.State
}

// onDisk is an endpoint with a journal and no server.
func onDisk(t *testing.T) *Endpoint {
	t.Helper()
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	e := unconnected()
	e.db = db
	if e.journal, err = journal.Open(t.Context(), db, time.Now); err != nil {
		t.Fatal(err)
	}
	return e
}

// talkPair are the two ends of a session in our profile.
func talkPair(t *testing.T) (initiator, responder *conversation.Conversation) {
	t.Helper()
	romeo, juliet := jid.MustParse("romeo@jet.test/a"), jid.MustParse("juliet@jet.test/b")
	m := jingle.NewManager(jingle.Config{Port: agreeable{}, Self: func() jid.JID { return romeo }})
	t.Cleanup(func() { m.Close(context.Background()) })
	s, err := m.Initiate(t.Context(), juliet, jingle.NewSID(), jingle.Content{
		Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderInitiator,
		Description: jingle.Description(&jingle.File{Size: 1}), Transport: xmltree.New(s5b.NS, "transport").Set("sid", "s"),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := offeredIn(t, dialect.FormJetsend, profile.Offer{Transfer: uuid.NewString(), SID: s.ID(), Initiator: romeo, Responder: juliet, Device: 7})
	initiator, responder = unconnected().converse(t.Context(), event.Head{}), unconnected().converse(t.Context(), event.Head{})
	initiator.Session, initiator.Dialect, responder.Session, responder.Dialect = s, d, &jingle.Session{}, d
	return initiator, responder
}

// TestReasonReflected: a server cannot turn the word of one end back on it, nor use it
// for another transfer or for another detail.
func TestReasonReflected(t *testing.T) {
	here, there := talkPair(t)
	told := here.ReasonFor(fault.ErrGone)
	if !fault.Of(there.EndedWith(told)).Over || fault.Of(here.EndedWith(told)).Over {
		t.Error("a word is taken from who said it")
	}
	this := there.Dialect.Sealed().Transfer
	there.Dialect.Sealed().Transfer = uuid.NewString()
	if fault.Of(there.EndedWith(told)).Over {
		t.Error("it ends another transfer")
	}
	there.Dialect.Sealed().Transfer = this
	told.Detail.Children[0] = xmltree.New(profile.NS, fault.DetailSourceChanged)
	if fault.Of(there.EndedWith(told)).Over {
		t.Error("it is taken for another detail")
	}
}
