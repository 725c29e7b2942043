package workload

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRoom: so many sessions wait to be decided, and not one more.
func TestRoom(t *testing.T) {
	var w Workload
	end := make(chan struct{})
	for range MaxWaiting {
		if !w.HasRoom() || !w.Session(func() { <-end }) {
			t.Fatal("full too soon")
		}
	}
	if w.HasRoom() || w.Waiting() != MaxWaiting || w.Active() != MaxWaiting {
		t.Errorf("%d of %d wait", w.Waiting(), w.Active())
	}
	w.Decided()
	if !w.HasRoom() {
		t.Error("full although one is decided")
	}
	close(end)
	w.Sessions.Wait()
	if w.Active() != 0 {
		t.Errorf("%d are active", w.Active())
	}
}

// TestClose: what is under way is waited for, with what it leaves to be done, and nothing
// new is taken.
func TestClose(t *testing.T) {
	var w Workload
	end, followed := make(chan struct{}), make(chan struct{})
	w.Task(func() {
		<-end
		w.Follow(func() { close(followed) })
	})
	w.Close()
	if w.Session(func() {}) || w.Task(func() {}) || w.HasRoom() || !w.Closed() {
		t.Error("took something new")
	}
	<-w.Sessions.Ended()
	select {
	case <-w.All.Ended():
		t.Error("the task is not waited for")
	default:
	}
	close(end)
	w.All.Wait()
	<-followed
}
