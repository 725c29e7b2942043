package transfer

import "jetsend/internal/event"

// What package event calls these.
type (
	// Event is event.Event.
	Event = event.Event
	// Head is event.Head.
	Head = event.Head
	// Online is event.Online.
	Online = event.Online
	// Offer is event.Offer.
	Offer = event.Offer
	// Accepted is event.Accepted.
	Accepted = event.Accepted
	// DeviceInfo is event.DeviceInfo.
	DeviceInfo = event.DeviceInfo
	// Negotiated is event.Negotiated.
	Negotiated = event.Negotiated
	// Progress is event.Progress.
	Progress = event.Progress
	// Interrupted is event.Interrupted.
	Interrupted = event.Interrupted
	// Resumed is event.Resumed.
	Resumed = event.Resumed
	// Differences is event.Differences.
	Differences = event.Differences
	// Sent is event.Sent.
	Sent = event.Sent
	// Received is event.Received.
	Received = event.Received
	// Hook is event.Hook.
	Hook = event.Hook
	// Failed is event.Failed.
	Failed = event.Failed
	// FailedEarly is event.FailedEarly.
	FailedEarly = event.FailedEarly
	// Warning is event.Warning.
	Warning = event.Warning
	// Waiting is event.Waiting.
	Waiting = event.Waiting
	// Direction is event.Direction.
	Direction = event.Direction
)

// What package event calls these.
const (
	// Send is event.Send.
	Send = event.Send
	// Receive is event.Receive.
	Receive = event.Receive
	// StandardOutput is event.StandardOutput.
	StandardOutput = event.StandardOutput
)
