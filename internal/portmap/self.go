package portmap

import "net/netip"

// Self returns our own address towards the router.
func (k *Keeper) Self() (netip.Addr, error) {
	_, self, err := k.config.Gateway()
	return self, err
}
