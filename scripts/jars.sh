#!/usr/bin/env bash
# jars.sh kafka|dynamodb-local: fetches Apache Kafka or DynamoDB Local from Maven
# Central, once, into the user's cache folder, and prints where its jars are. It needs
# a JDK 17 or newer and Maven.
set -euo pipefail
program=${1:-}
case $program in
kafka) version=4.2.0 jars="org.apache.kafka:kafka_2.13:4.2.0 org.slf4j:slf4j-nop:1.7.36" ;;
dynamodb-local) version=3.3.1 jars="software.amazon.dynamodb:DynamoDBLocal:3.3.1" ;;
*)
  echo "usage: jars.sh kafka|dynamodb-local" >&2
  exit 2
  ;;
esac
dir=${XDG_CACHE_HOME:-$HOME/.cache}/throng/$program-$version
if [ ! -e "$dir/ready" ]; then
  command -v java >/dev/null && command -v mvn >/dev/null || { echo "there is no java or no mvn" >&2; exit 1; }
  mkdir -p "$(dirname "$dir")"
  exec 9>"$dir.lock"
  flock 9
  if [ ! -e "$dir/ready" ]; then
    tmp=$(mktemp -d "$dir.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    {
      echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
      echo "<groupId>throng</groupId><artifactId>$program</artifactId><version>1</version><dependencies>"
      for jar in $jars; do
        IFS=: read -r group name number <<<"$jar"
        echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId><version>$number</version></dependency>"
      done
      echo '</dependencies></project>'
    } >"$tmp/pom.xml"
    (cd "$tmp" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib) >&2
    rm -rf "$dir"
    touch "$tmp/ready"
    mv "$tmp" "$dir"
    trap - EXIT
  fi
fi
echo "$dir/lib"
