#!/usr/bin/env bash
# What clients do with the name constraints of a CA that they trust: some refuse what is outside, one does not look, one
# refuses the CA.
#
# Expected: a CA with critical name constraints (RFC 5280, 4.2.1.10) in the list of what is trusted is believed within
# them and nowhere else. A client that does not know the extension has to refuse it, as it is critical (4.2).
# What happens: OpenSSL, GnuTLS, NSS, Go and Chromium refuse another DNS name and another address. Java's own trust manager
# accepts both: PKIX has the constraints of a trust anchor handed over beside it (6.1.1), and nobody does. Mbed TLS 2.28
# cannot even read the CA.
# Seen with OpenSSL 3.0.19, GnuTLS 3.7.9, NSS 3.87.1, Go 1.19.8, OpenJDK 17.0.15, Chromium 148, Mbed TLS 2.28.8
# (python-mbedtls 2.10.1), 2026-11-30.
#
# Why it matters here: the CA that relaybox makes is bound to the names of its certificate. Where Java trusts it, its
# key is still good for every name; where Mbed TLS has to, somebody else's certificate must stand in.
#
# Needs openssl, certtool (gnutls-bin), certutil and vfychain (libnss3-tools), go (golang-go), java and javac
# (default-jdk-headless), chromium.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
./venv/bin/pip install -q --disable-pip-version-check python-mbedtls==2.10.1 >pip.log 2>&1 || { cat pip.log; exit 1; }

new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null || openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
new_key ca.key
openssl req -x509 -new -key ca.key -subj "/CN=constrained" -days 700 -config /dev/null -out ca.pem \
    -addext "basicConstraints=critical,CA:true,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -addext "extendedKeyUsage=serverAuth" \
    -addext "nameConstraints=critical,permitted;DNS:localhost,permitted;DNS:chat.example,permitted;IP:127.0.0.1/255.255.255.255" \
    2>openssl.log || { cat openssl.log; exit 1; }
leaf() {
    new_key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=localhost" -config /dev/null -out "$1.csr" 2>>openssl.log
    printf 'subjectAltName=DNS:localhost,%s\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n' "$2" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 300 -extfile "$1.ext" -out "$1.pem" 2>>openssl.log
}
leaf inside DNS:chat.example,IP:127.0.0.1
leaf name DNS:other.example
leaf address IP:192.0.2.8

cat >verify.go <<'GO'
package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
)

func read(file string) *x509.Certificate {
	text, _ := os.ReadFile(file)
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return certificate
}

func main() {
	roots := x509.NewCertPool()
	roots.AddCert(read("ca.pem"))
	if _, err := read(os.Args[1]).Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil {
		os.Exit(1)
	}
}
GO
GOCACHE="$dir/cache" GO111MODULE=off go build -o verify verify.go
cat >Verify.java <<'JAVA'
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.*;
import javax.net.ssl.*;

public class Verify {
    static X509Certificate read(String file) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(file));
    }

    public static void main(String[] args) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", read("ca.pem"));
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(trusted);
        var manager = (X509TrustManager) factory.getTrustManagers()[0];
        manager.checkServerTrusted(new X509Certificate[] {read(args[0])}, "ECDHE_ECDSA");
    }
}
JAVA
javac Verify.java
mkdir db
certutil -N -d db --empty-password
certutil -A -d db -n ca -t C,, -i ca.pem
cat >verify.py <<'PY'
import sys
from mbedtls import x509
sys.exit(0 if x509.CRT.from_file("ca.pem").verify(x509.CRT.from_file(sys.argv[1])) else 1)
PY

# Chromium on Linux has what it trusts in its user's NSS store.
mkdir -p home/.pki/nssdb
certutil -N -d sql:home/.pki/nssdb --empty-password
certutil -A -d sql:home/.pki/nssdb -n ca -t C,, -i ca.pem
with_chromium() {
    local port=$((20000 + RANDOM % 10000)) server shows
    openssl s_server -accept "$port" -cert "$1" -key "${1%.pem}.key" -www >/dev/null 2>&1 &
    server=$!
    until openssl s_client -connect "localhost:$port" </dev/null >/dev/null 2>&1; do kill -0 "$server"; sleep 0.1; done
    shows=$(HOME=$PWD/home timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile-$1" \
        --dump-dom "https://localhost:$port/")
    kill "$server"
    grep -q "Ciphers supported" <<<"$shows"
}

with_openssl() { openssl verify -purpose sslserver -CAfile ca.pem "$1"; }
with_gnutls() { certtool --verify --verify-hostname localhost --load-ca-certificate ca.pem --infile "$1"; }
with_nss() { vfychain -d db -a -pp -u 1 "$1"; }
with_go() { ./verify "$1"; }
with_java() { java Verify "$1"; }
with_mbedtls() { ./venv/bin/python verify.py "$1"; }

seen=$(for client in openssl gnutls nss go chromium java mbedtls; do
    line=$client
    for certificate in inside name address; do
        if "with_$client" "$certificate.pem" >>clients.log 2>&1; then line+=" accepts"; else line+=" refuses"; fi
    done
    echo "$line"
done)
echo "client, inside, another name, another address"
echo "$seen"
expected="openssl accepts refuses refuses
gnutls accepts refuses refuses
nss accepts refuses refuses
go accepts refuses refuses
chromium accepts refuses refuses
java accepts accepts accepts
mbedtls refuses refuses refuses"
[ "$seen" = "$expected" ] || { echo "it behaves otherwise now"; tail -n 60 clients.log; exit 1; }
echo "as described above"
