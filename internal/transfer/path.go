package transfer

import (
	"jetsend/internal/event"
	"jetsend/internal/omemo"
)

func deviceInfos(devices []omemo.Device) []event.DeviceInfo {
	out := make([]event.DeviceInfo, 0, len(devices))
	for _, d := range devices {
		out = append(out, deviceInfo(d))
	}
	return out
}

func deviceInfo(d omemo.Device) event.DeviceInfo {
	return event.DeviceInfo{ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust.String(), New: d.New}
}
