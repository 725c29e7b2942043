package transfer

import (
	"jetsend/internal/event"
	"jetsend/internal/omemo"
)

func deviceInfo(d omemo.Device) event.DeviceInfo {
	return event.DeviceInfo{ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust.String(), New: d.New}
}
