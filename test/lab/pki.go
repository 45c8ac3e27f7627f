package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki is the keys of one cluster, as files in a folder and in memory. They are
// good for a year.
type pki struct {
	dir        string
	server     string // the API server's URL, for kubeconfigs
	ca         *identity
	frontProxy *identity // signs what the API server shows to aggregated APIs
}

// identity is a certificate with its key.
type identity struct {
	certificate *x509.Certificate
	key         crypto.Signer
	certPEM     []byte
	keyPEM      []byte
}

// newPKI writes the authorities, the API server's certificates and the key of
// service accounts. The API server answers at ips.
func newPKI(dir, server string, ips []net.IP) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	k := &pki{dir: dir, server: server}
	var err error
	if k.ca, err = k.issue("ca", request{name: "lab-ca"}); err != nil {
		return nil, err
	}
	if k.frontProxy, err = k.issue("front-proxy-ca", request{name: "lab-front-proxy-ca"}); err != nil {
		return nil, err
	}
	hosts := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	for file, r := range map[string]request{
		"front-proxy":       {name: "front-proxy-client", by: k.frontProxy},
		"apiserver":         {name: "kube-apiserver", by: k.ca, ips: ips, hosts: hosts},
		"apiserver-kubelet": {name: "kube-apiserver-kubelet", groups: []string{"system:masters"}, by: k.ca},
	} {
		if _, err := k.issue(file, r); err != nil {
			return nil, err
		}
	}
	return k, k.serviceAccounts()
}

// serviceAccounts writes the key that signs service accounts' tokens: RSA, as
// most clusters have it.
func (k *pki) serviceAccounts() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make the service accounts' key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make the service accounts' key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("make the service accounts' key: %w", err)
	}
	if err := k.write("sa.key", block("PRIVATE KEY", private)); err != nil {
		return err
	}
	return k.write("sa.pub", block("PUBLIC KEY", public))
}

// request is what a certificate says.
type request struct {
	name   string
	groups []string
	by     *identity // nil: it is an authority
	hosts  []string
	ips    []net.IP
}

func (k *pki) issue(file string, r request) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", r.name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", r.name, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: r.name, Organization: r.groups},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(365 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		DNSNames:     r.hosts,
		IPAddresses:  r.ips,
	}
	parent, signer := template, crypto.Signer(key)
	if r.by == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		parent, signer = r.by.certificate, r.by.key
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if len(r.hosts)+len(r.ips) > 0 {
			template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", r.name, err)
	}
	return k.keep(file, key, der)
}

// keep writes a certificate and its key.
func (k *pki) keep(file string, key *ecdsa.PrivateKey, der []byte) (*identity, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back %s: %w", file, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write the key %s: %w", file, err)
	}
	id := &identity{
		certificate: certificate, key: key,
		certPEM: block("CERTIFICATE", der), keyPEM: block("PRIVATE KEY", private),
	}
	if err := k.write(file+".crt", id.certPEM); err != nil {
		return nil, err
	}
	return id, k.write(file+".key", id.keyPEM)
}

// kubeconfig writes a kubeconfig for a user of these groups and says where it is.
func (k *pki) kubeconfig(file, user string, groups ...string) (string, *identity, error) {
	id, err := k.issue(file, request{name: user, groups: groups, by: k.ca})
	if err != nil {
		return "", nil, err
	}
	text := base64.StdEncoding.EncodeToString
	content := fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: lab, user: {client-certificate-data: %s, client-key-data: %s}}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
current-context: lab
`, k.server, text(k.ca.certPEM), text(id.certPEM), text(id.keyPEM))
	return k.path(file + ".kubeconfig"), id, k.write(file+".kubeconfig", content)
}

func (k *pki) path(file string) string { return filepath.Join(k.dir, file) }

func (k *pki) write(file string, content []byte) error {
	if err := os.WriteFile(k.path(file), content, 0o600); err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	return nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
