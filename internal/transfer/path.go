package transfer

import (
	"jetsend/internal/omemo"
)

func deviceInfos(devices []omemo.Device) []DeviceInfo {
	out := make([]DeviceInfo, 0, len(devices))
	for _, d := range devices {
		out = append(out, deviceInfo(d))
	}
	return out
}

func deviceInfo(d omemo.Device) DeviceInfo {
	return DeviceInfo{ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust.String(), New: d.New}
}
