package command

import (
	"net/url"
	"strings"

	"github.com/throng-gg/throng"
)

// DoorURLs checks one address or several, separated by commas.
func DoorURLs(addrs string) ([]string, error) {
	var doors []string
	for addr := range strings.SplitSeq(addrs, ",") {
		door, err := DoorURL(strings.TrimSpace(addr))
		if err != nil {
			return nil, err
		}
		doors = append(doors, door)
	}
	return doors, nil
}

// DoorURL checks one.
func DoorURL(addr string) (string, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", throng.AtField(throng.Invalid, "--addr", "%q is not a URL like http://127.0.0.1:7700", addr)
	}
	return strings.TrimRight(u.String(), "/"), nil
}
