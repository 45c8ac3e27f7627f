package probe

import (
	"net/netip"
	"net/url"
	"strconv"

	"github.com/throng-gg/throng"
)

// Path is where a beacon is over HTTP.
const Path = "/beacon"

// CheckURL says what is wrong with the URL of a beacon. Its kind is Invalid.
func CheckURL(s string) error {
	_, err := parseURL(s)
	return err
}

// target is where a beacon is.
type target struct {
	udp  string // host:port; empty: over HTTP
	http string // URL
}

// parseURL takes udp://host:port, http://host/beacon, or https://host/beacon, both
// with or without a port.
func parseURL(s string) (target, error) {
	bad := func(why string) (target, error) {
		return target{}, throng.Errorf(throng.Invalid, "%q %s", shortened(s), why)
	}
	u, err := url.Parse(s)
	if err != nil || len(s) > throng.MaxBeaconURL || u.Hostname() == "" || u.Opaque != "" {
		return bad("is not a beacon's URL like udp://203.0.113.5:7810 or https://eu.example.com/beacon")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return bad("has more than host, port and path")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && (ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "") {
		return bad("has an address that nobody can reach")
	}
	if port := u.Port(); port != "" || u.Scheme == "udp" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad("has no port from 1 to 65535")
		}
	}
	switch {
	case u.Scheme == "udp" && u.Path == "":
		return target{udp: u.Host}, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Path == Path:
		return target{http: s}, nil
	case u.Scheme == "http" || u.Scheme == "https":
		return bad("must end in " + Path)
	case u.Scheme == "udp":
		return bad("must end after the port")
	}
	return bad("must begin with udp://, http:// or https://")
}

// shortened is enough of a text to find it.
func shortened(s string) string {
	if len(s) > throng.MaxBeaconURL {
		return s[:throng.MaxBeaconURL] + "..."
	}
	return s
}
