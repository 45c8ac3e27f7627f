package api

import (
	"maps"
	"net/http"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/edge/shed"
)

// class is which limit an account's call counts against. Calls of machines
// count against Limits.Machine whatever their route.
type class uint8

const (
	classService class = iota // no limit
	classCall
	classJoin
	classDev         // by address
	classGuess       // never a route's: of a player who brings an invite or a code
	classRemote      // the same by address
	classHandoff     // never a route's: of a session that hands players off
	classHandoffOpen // never a route's: the same into sessions of their own
	classHandoffOnce // never a route's: of one such handoff
	classOpen        // never a route's: of a player who opens sessions of his own
	classMachine     // never a route's
	classKey         // never a route's: of an API key
	classFailure     // never a route's: of tokens that were not valid, by address
	classControl     // a connection that stays open
	classReplica     // of the region's own control plane: no limit of its own
	classClaim       // by address
	classSocket      // a player's that stays open; by address
	classSeek        // never a route's: of a player whose ticket other regions are asked for
	classOwned       // of a session that asks for what players own, and of a region that does
)

// route is what the door asks of a call before it looks at it.
type route struct {
	roles  []Role // who may call; none: everyone
	keys   bool   // API keys are good for it
	claim  bool   // a pod's token is its credential, see claim.go; it has no roles
	class  class
	worth  shed.Class // of the call under overload; of a ticket the most that it can be
	ticket bool       // it brings one, and is let in when that was read
	// time is how long the call may take, waiting included; zero: no limit.
	time time.Duration
	// media is the content type of the body, of up to size bytes; empty: none.
	media string
	size  int64
	// strict makes what a JSON body must fit without unknown fields; nil: they
	// are ignored.
	strict func() any
}

const (
	mediaJSON = "application/json"
	mediaGzip = "application/gzip"

	sizeClaim     = 4 << 10
	sizeJSON      = 64 << 10
	sizeFriends   = 256 << 10
	sizeHeartbeat = 256 << 10
	sizeReport    = 1 << 20
	sizeUpload    = 64 << 20
	sizeProfile   = throng.ProfileBytes + 1<<10

	maxWait   = 20 * time.Second
	callTime  = 10 * time.Second
	waitTime  = maxWait + callTime
	bytesTime = 5 * time.Minute // up- and downloads
)

// routes says it for every call of the document, by net/http's pattern.
func routes() map[string]route {
	accounts := []Role{RolePlayer, RoleCreator, RoleOperator}
	browse := route{roles: accounts, class: classCall, time: callTime}
	list := route{roles: []Role{RolePlayer, RoleCreator, RoleOperator, RoleRegion}, class: classCall, time: callTime}
	listed := list
	listed.keys = true
	table := map[string]route{
		"POST /v1/dev/token": {
			class: classDev, time: callTime, media: mediaJSON, size: sizeJSON,
			strict: func() any { return new(gen.DevTokenRequest) },
		},
		"POST /v1/matchmake": {
			roles: accounts, class: classJoin, time: waitTime, media: mediaJSON, size: sizeJSON,
			strict: func() any { return new(gen.MatchmakeRequest) },
		},
		"GET /v1/matchmake/{ticket}":    {roles: accounts, class: classCall, time: waitTime},
		"DELETE /v1/matchmake/{ticket}": browse,
		"GET /v1/joins/{ticket}":        browse,
		"POST /v1/parties":              browse,
		"GET /v1/parties/{id}":          {roles: accounts, class: classCall, time: waitTime},
		"POST /v1/parties/{id}/join": {
			roles: accounts, class: classCall, time: callTime, media: mediaJSON, size: sizeJSON,
			strict: func() any { return new(gen.JoinPartyRequest) },
		},
		"POST /v1/parties/{id}/leave":              browse,
		"POST /v1/parties/{id}/invite":             browse,
		"DELETE /v1/parties/{id}/members/{player}": browse,
		"GET /v1/players/{id}/friends":             browse,
		"PUT /v1/players/{id}/friends": {
			roles: accounts, class: classCall, time: callTime, media: mediaJSON, size: sizeFriends,
			strict: func() any { return new(gen.FriendList) },
		},
		"GET /v1/players/{id}/privacy": browse,
		"PUT /v1/players/{id}/privacy": {
			roles: accounts, class: classCall, time: callTime, media: mediaJSON, size: sizeJSON,
			strict: func() any { return new(gen.PrivacySettings) },
		},
		"GET /v1/places":                listed,
		"GET /v1/places/{id}/sessions":  listed,
		"GET /v1/players/{id}/presence": browse,
		"GET /v1/regions":               list,
	}
	maps.Copy(table, creatorRoutes())
	maps.Copy(table, machineRoutes())
	maps.Copy(table, ownRoutes())
	return table
}

// ownRoutes is the routes to what players own.
func ownRoutes() map[string]route {
	server := route{roles: []Role{RoleServer}, class: classCall, time: callTime}
	checkout, save, post := server, server, server
	checkout.media, checkout.size = mediaJSON, sizeHeartbeat
	save.media, save.size = mediaJSON, sizeProfile
	post.roles, post.keys, post.media, post.size = []Role{RoleCreator, RoleOperator, RoleServer}, true, mediaJSON, sizeJSON
	post.strict = func() any { return new(gen.TransferRequest) }
	read := route{roles: []Role{RolePlayer, RoleCreator, RoleOperator}, keys: true, class: classCall, time: callTime}
	saves := read
	saves.roles = []Role{RoleCreator, RoleOperator}
	restore := saves
	restore.keys, restore.media, restore.size, restore.strict = false, mediaJSON, sizeJSON, func() any { return new(gen.RestoreRequest) }
	return map[string]route{
		"POST /v1/sessions/{id}/profiles/{player}/checkout": checkout,
		"PUT /v1/sessions/{id}/profiles/{player}":           save,
		"POST /v1/sessions/{id}/profiles/{player}/return":   save,
		"GET /v1/sessions/{id}/inventories/{player}":        server,
		"POST /v1/transfers":                                post,
		"GET /v1/places/{id}/players/{player}/inventory":    read,
		"GET /v1/places/{id}/players/{player}/transfers":    read,
		"GET /v1/places/{id}/players/{player}/profile":      read,
		"GET /v1/places/{id}/players/{player}/saves":        saves,
		"POST /v1/places/{id}/players/{player}/restore":     restore,
		"GET /v1/audit":            {roles: []Role{RoleOperator}, class: classCall, time: bytesTime},
		"GET /v1/bans":             {roles: []Role{RoleOperator}, class: classCall, time: callTime},
		"GET /v1/bans/{player}":    {roles: []Role{RoleOperator}, class: classCall, time: callTime},
		"DELETE /v1/bans/{player}": {roles: []Role{RoleOperator}, class: classCall, time: callTime},
	}
}

// creatorRoutes is the routes of those who publish.
func creatorRoutes() map[string]route {
	own := route{roles: []Role{RoleCreator, RoleOperator}, class: classCall, time: callTime}
	read, logs, upload, create := own, own, own, own
	read.keys = true
	logs.keys, logs.time = true, waitTime
	upload.keys, upload.time, upload.media, upload.size = true, bytesTime, mediaGzip, sizeUpload
	release := own
	release.keys, release.media, release.size, release.strict = true, mediaJSON, sizeJSON, func() any { return new(gen.ReleaseRequest) }
	release.time = waitTime // it waits until all know of it
	create.media, create.size, create.strict = mediaJSON, sizeJSON, func() any { return new(gen.CreateKeyRequest) }
	return map[string]route{
		"GET /v1/places/{id}/logs":               logs,
		"GET /v1/places/{id}/numbers":            read,
		"PUT /v1/places/{id}/versions":           upload,
		"GET /v1/places/{id}/release":            read,
		"POST /v1/places/{id}/release":           release,
		"GET /v1/places/{id}/owners":             read,
		"PUT /v1/places/{id}/owners/{player}":    own,
		"DELETE /v1/places/{id}/owners/{player}": own,
		"GET /v1/keys":                           own,
		"POST /v1/keys":                          create,
		"DELETE /v1/keys/{id}":                   own,
	}
}

// machineRoutes is the routes of operators, game servers, nodes and other regions,
// and of the machines that run the door.
func machineRoutes() map[string]route {
	operate := route{roles: []Role{RoleOperator}, class: classCall, time: callTime}
	change := route{roles: operate.roles, class: classCall, time: callTime, media: mediaJSON, size: sizeJSON}
	server := func(size int64) route {
		return route{roles: []Role{RoleServer}, class: classCall, time: callTime, media: mediaJSON, size: size}
	}
	promote := change
	promote.time = homeTime
	drain := change
	drain.roles = []Role{RoleOperator, RoleServer}
	end := change
	end.roles = []Role{RoleOperator, RoleServer}
	end.size = sizeHeartbeat
	handoff := server(sizeHeartbeat)
	handoff.time = waitTime
	// Fields that are not known are a newer replica's.
	replica := route{roles: []Role{RoleReplica}, class: classReplica, time: callTime, media: mediaJSON, size: sizeReport}
	service := route{class: classService, time: callTime}
	return map[string]route{
		"GET /v1/sessions":                       operate,
		"GET /v1/sessions/{id}":                  operate,
		"POST /v1/sessions/{id}/drain":           drain,
		"GET /v1/home":                           operate,
		"POST /v1/home":                          promote,
		"GET /v1/home/losses":                    operate,
		"GET /v1/servers":                        operate,
		"GET /v1/servers/{id}":                   operate,
		"POST /v1/servers/{id}/drain":            change,
		"GET /v1/fleets":                         operate,
		"POST /v1/fleets/{cluster}/drain":        change,
		"DELETE /v1/fleets/{cluster}/drain":      operate,
		"POST /v1/regions/{id}/drain":            change,
		"DELETE /v1/regions/{id}/drain":          operate,
		"POST /v1/sessions/{id}/end":             end,
		"PUT /v1/sessions/{id}/heartbeat":        server(sizeHeartbeat),
		"PUT /v1/sessions/{id}/report":           server(sizeReport),
		"POST /v1/sessions/{id}/confirm":         server(sizeHeartbeat),
		"POST /v1/sessions/{id}/logs":            server(sizeJSON),
		"POST /v1/sessions/{id}/handoff":         handoff,
		"GET /v1/sessions/{id}/origins/{ticket}": {roles: []Role{RoleServer}, class: classCall, time: callTime},
		"GET /v1/regions/{id}/summary":           {roles: []Role{RoleRegion}, class: classCall, time: callTime},
		"POST /v1/regions/{id}/tickets": {
			roles: []Role{RoleRegion}, class: classJoin, time: waitTime, media: mediaJSON, size: sizeJSON,
		},
		"GET /v1/regions/{id}/tickets/{ticket}":    {roles: []Role{RoleRegion}, class: classJoin, time: waitTime},
		"DELETE /v1/regions/{id}/tickets/{ticket}": {roles: []Role{RoleRegion}, class: classJoin, time: callTime},
		"POST /v1/regions/{id}/owned":              {roles: []Role{RoleRegion}, class: classOwned, time: callTime, media: mediaJSON, size: sizeProfile},
		"PUT /v1/regions/{id}/home":                {roles: []Role{RoleRegion}, class: classCall, time: homeTime, media: mediaJSON, size: sizeJSON},
		"POST /v1/replicas/tell":                   replica,
		"POST /v1/replicas/ask":                    replica,
		"GET /v1/packages/{hash}":                  {roles: []Role{RoleServer, RoleNode, RoleOperator, RoleRegion}, class: classCall, time: bytesTime},
		"POST /v1/servers/claim":                   {claim: true, class: classClaim, time: callTime, media: mediaJSON, size: sizeClaim},
		"GET /v1/servers/{id}/control":             {roles: []Role{RoleServer}, class: classControl},
		"GET /v1/nodes/{id}/control":               {roles: []Role{RoleNode}, class: classControl},
		"GET /v1/sessions/{id}/socket":             {class: classSocket},
		"GET /openapi.yaml":                        service,
		"GET /healthz":                             service,
		"GET /readyz":                              service,
		"GET /metrics":                             service,
	}
}

// router puts a guard before every handler. A handler without a route in the
// table is an error of New.
type router struct {
	api    *API
	routes map[string]route
	worths map[string]shed.Class
	err    error
}

// HandleFunc mounts a handler.
func (m *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	rt, ok := m.routes[pattern]
	if !ok {
		m.err = throng.Errorf(throng.Internal, "no route is written down for %s", pattern)
		return
	}
	if rt.worth, ok = m.worths[pattern]; !ok {
		m.err = throng.Errorf(throng.Internal, "what %s is worth is not written down", pattern)
		return
	}
	rt.ticket = isTicket(pattern)
	m.api.mux.HandleFunc(pattern, m.api.guard(rt, handler))
}

// ServeHTTP serves what is mounted.
func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.api.mux.ServeHTTP(w, r) }
