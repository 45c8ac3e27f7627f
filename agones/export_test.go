package agones

// ExitsOf is for the tests on a real API server, which are in a package of their own.
var ExitsOf = exitsOf
