package main

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"

	"jetsend/internal/config"
	"jetsend/internal/session"
)

// traceWord is the lowest level of --log-level: every stanza, without its
// secrets and without file data.
const traceWord = "trace"

// logWords are the levels of --log-level.
func logWords() []string { return []string{traceWord, "debug", "info", "warn", "error"} }

// logLevel reads a level.
func logLevel(word string) (level slog.Level, err error) {
	switch word {
	case "":
		return slog.LevelInfo, nil
	case traceWord:
		return session.LevelTrace, nil
	}
	return level, level.UnmarshalText([]byte(word))
}

// openLog makes the log that the global flags ask for.
func (a *app) openLog() error {
	if a.global.logLevel.value == "" && a.global.logFile.value == "" {
		return nil // no log
	}
	level, err := logLevel(a.global.logLevel.value)
	if err != nil {
		return usagef("--log-level: %v", err)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: nameTrace}
	if a.global.logFile.value == "" {
		a.log = slog.New(slog.NewTextHandler(a.console, options))
		return nil
	}
	if a.logFile, err = openLogFile(a.global.logFile.value); err != nil {
		return &config.Error{Msg: "log file", Err: err}
	}
	a.log = slog.New(slog.NewTextHandler(a.logFile, options))
	return nil
}

// nameTrace writes the level that package slog has no name for.
func nameTrace(_ []string, attr slog.Attr) slog.Attr {
	if attr.Key == slog.LevelKey && attr.Value.Any() == session.LevelTrace {
		attr.Value = slog.StringValue(strings.ToUpper(traceWord))
	}
	return attr
}

// logFile is the file of --log-file. It may be written to, reopened and closed
// from several goroutines.
type logFile struct {
	path string

	mu sync.Mutex
	f  *os.File
}

func openLogFile(path string) (*logFile, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, f: f}, nil
}

// openAppend opens a log for its owner's eyes: it names contacts and files. One that
// is there keeps what its group may do, as logrotate makes it, and nothing for everybody.
func openAppend(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	const everybody = 0o007
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&everybody != 0 {
		err = f.Chmod(info.Mode().Perm() &^ everybody)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(p)
}

// Reopen goes on in a file of the same name, which is a new one after the old
// was renamed, as logrotate does. On an error it goes on in the old one.
func (l *logFile) Reopen() error {
	f, err := openAppend(l.path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.f
	l.f = f
	l.mu.Unlock()
	return old.Close()
}

// Close implements io.Closer. A nil log is closed already.
func (l *logFile) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
