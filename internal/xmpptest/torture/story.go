package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// story is everything that happened in a round, in order. Its methods may be
// called from any goroutine.
type story struct {
	mu    sync.Mutex
	begin time.Time
	lines []string
}

func newStory() *story { return &story{begin: time.Now()} }

// add writes down what somebody said or did.
func (s *story) add(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.ReplaceAll(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n", "\n            | ")
	s.lines = append(s.lines, fmt.Sprintf("%8.3f %-18s %s", time.Since(s.begin).Seconds(), who, text))
}

func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n") + "\n"
}
