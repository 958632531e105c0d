#!/usr/bin/env bash
# Makes .deb, .rpm and bill of materials (CycloneDX) of programs that are built:
#   package.sh ARCH BIN OUT PROGRAM...
#   package.sh version
# NFPM and CYCLONEDX_GOMOD are the tools, VERSION is the programs' version, and
# SOURCE_DATE_EPOCH the time that everything in the packages carries.
set -euo pipefail
# What `git describe` says, so that dpkg and rpm sort it: 1.2.0 < 1.2.0+5.gabc < 1.2.1~rc.1 < 1.2.1.
if [[ $VERSION =~ ^[0-9]+\.[0-9]+ ]]; then
	version=$(sed -E 's/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/; s/-dirty$/+dirty/; s/-/~/g' <<<"$VERSION")
else
	version=0.0.0~git$(TZ=UTC0 date -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).${VERSION//-/+}
fi
if [ "$1" = version ]; then
	echo "$version"
	exit
fi
root=$(cd "$(dirname "$0")/.." && pwd)
arch=$1 bin=$(realpath "$2") out=$(realpath -m "$3")
shift 3
export ARCH=$arch PACKAGE_VERSION=$version SOURCE_DATE_EPOCH

mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$root" "$work/root"
for program; do
	case $program in
	etcd_exporter) restart=$program.service units="$program.socket $program.service" ;;
	etcd_restore_drill) restart=$program.timer units=$program.timer ;;
	*) restart=$program.service units=$program.service ;;
	esac
	for script in postinstall preremove postremove; do
		sed "s/@program@/$program/g; s/@restart@/$restart/g; s/@units@/$units/g" "$root/deploy/packages/$script.sh" >"$work/$script.sh"
	done
	cp "$bin/$program" "$work/$program"
	bill=${program//_/-}_${version}_$arch.cdx.json
	"$CYCLONEDX_GOMOD" bin -json -std -noserial -notimestamp -version "$VERSION" -output "$work/$program.cdx.json" "$work/$program"
	cp "$work/$program.cdx.json" "$out/$bill"
	for packager in deb rpm; do
		(cd "$work" && "$NFPM" package --config "root/deploy/packages/$program.yaml" --packager $packager --target "$out" >/dev/null)
	done
done
