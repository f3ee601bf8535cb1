package sysfs

// DeviceSetting is a network device's IPv4 forwarding as a Setting: a sysctl
// that comes and goes with its device.
func DeviceSetting(device string) *Setting {
	return &Setting{Name: device, Kind: Bool, Max: 1, file: "proc/sys/net/ipv4/conf/" + device + "/forwarding"}
}
