package host

import (
	"context"
	"io"
	"log/slog"
	"strconv"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/place"
)

// cacheFlags say where game servers keep packages.
type cacheFlags struct {
	Cache      string `env:"THRONG_CACHE" type:"path" help:"Folder for packages of places that all game servers of this machine share: each is fetched once. Without it every session fetches its own." placeholder:"DIR"`
	CacheLimit int    `env:"THRONG_CACHE_LIMIT" default:"2048" help:"Most that packages in it take; the one used longest ago goes first." placeholder:"MIB"`
}

// CacheEnv is what game servers are told of a cache.
func CacheEnv(dir string, limit int) []string {
	return []string{"THRONG_CACHE=" + dir, "THRONG_CACHE_LIMIT=" + strconv.Itoa(limit)}
}

// packages is where a game server gets places from.
func (f cacheFlags) packages(door *client.Server, logger *slog.Logger) (packages, error) {
	if f.Cache == "" {
		return packages{door: door}, nil
	}
	cache, err := disk.NewCache(disk.CacheConfig{Dir: f.Cache, Bytes: int64(f.CacheLimit) << 20, Logger: logger.With("part", "cache")})
	return packages{door, cache}, err
}

// packages fetches places over the door, by way of the machine's cache.
type packages struct {
	door  *client.Server
	cache *disk.Cache // nil: none
}

// Fetch returns a package's manifest and scripts; all of it is verified against its hash.
func (p packages) Fetch(ctx context.Context, hash throng.PackageHash) (map[string][]byte, error) {
	if p.cache != nil {
		return p.cache.Scripts(ctx, hash, func(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, error) {
			return p.door.Package(ctx, hash)
		})
	}
	body, err := p.door.Package(ctx, hash)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return place.UnpackScripts(body, hash)
}
