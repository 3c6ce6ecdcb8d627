#!/bin/sh
# Guess: a client of RFC 3161 takes the response of openssl's own authority, whose certificate comes with its root.
# Result (rfc3161-client 1.0.9): it refuses the response, since openssl writes the set of certificates as they come, and
# DER wants them sorted; `openssl ts -verify` takes it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rfc3161-client==1.0.9
cd "$folder"
cat > tsa.cnf <<'CONFIGURATION'
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
[stamping]
extendedKeyUsage = critical,timeStamping
[tsa]
serial = serial
signer_cert = tsa.pem
certs = chain.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
CONFIGURATION
echo 01 > serial
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config tsa.cnf"
{
    openssl req -x509 $new -keyout root.key -out root.pem -subj /CN=Root -extensions authority
    openssl req $new -keyout tsa.key -out tsa.csr -subj '/CN=A stamp authority with a longer name than its root'
    openssl x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -out tsa.pem \
        -extfile tsa.cnf -extensions stamping
    cp root.pem chain.pem
    echo data > data
    openssl ts -query -data data -sha256 -cert -out query.tsq
    openssl ts -reply -config tsa.cnf -section tsa -queryfile query.tsq -out reply.tsr
    openssl ts -verify -data data -in reply.tsr -CAfile root.pem
} > log 2>&1 || { cat log; exit 1; }
if "$folder/venv/bin/python" -c '
import rfc3161_client
rfc3161_client.decode_timestamp_response(open("reply.tsr", "rb").read())' 2> error; then
    echo "changed: rfc3161-client takes unsorted certificates"
    exit 1
fi
grep -q InvalidSetOrdering error || { cat error; exit 1; }
echo "rfc3161-client 1.0.9 refuses a response with unsorted certificates, which openssl makes and verifies"
