package event

import (
	"context"
	"log/slog"

	"jetsend/internal/clean"
)

// Logged returns report with the log before it: one line at info for each
// transfer that has ended in this run, and at debug for what happens on the way.
func Logged(log *slog.Logger, report func(Event)) func(Event) {
	return func(e Event) {
		logEvent(log, e)
		report(e)
	}
}

func logEvent(log *slog.Logger, e Event) {
	line := func(level slog.Level, text string, h Head, more ...any) {
		log.Log(context.Background(), level, text, append([]any{"transfer", h.Transfer, "peer", h.Peer, "name", h.Name}, more...)...)
	}
	switch e := e.(type) {
	case Sent:
		line(slog.LevelInfo, "sent", e.Head, "bytes", e.Size, "seconds", e.Seconds, "verified_by_peer", e.VerifiedByPeer)
	case Received:
		line(slog.LevelInfo, "received", e.Head, "bytes", e.Size, "seconds", e.Seconds, "path", e.Path)
	case Failed:
		text := "not sent"
		if e.Direction == Receive {
			text = "not received"
		}
		line(slog.LevelInfo, text, e.Head, "code", e.Code, "reason", e.Reason, "resumable", e.Resumable)
	case FailedEarly:
		log.Info("not received", "peer", e.Peer, "code", e.Code, "reason", e.Reason)
	case Entry:
		line(slog.LevelDebug, "entry failed", e.Head, "path", clean.Text(e.Where()), "reason", e.Reason)
	case Interrupted:
		line(slog.LevelDebug, "interrupted", e.Head, "bytes", e.Bytes, "reason", e.Reason)
	case Resumed:
		line(slog.LevelDebug, "resumed", e.Head, "offset", e.Offset)
	case Offer:
		line(slog.LevelDebug, "offer", e.Head, "direction", string(e.Direction), "bytes", e.Size)
	case Negotiated:
		line(slog.LevelDebug, "negotiated", e.Head, "transport", e.Transport, "candidate", e.Candidate, "way", e.Way, "encryption", e.Encryption, "cipher", e.Cipher)
	}
}
