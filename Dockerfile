# vipwire as a container image, for linux/amd64 and linux/arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 --tag vipwire:0.1.0 .
# Debian 12 is what the tests on a real kernel run on: its iptables (1.8.9) prints the rules that vipwire compares with.

# dist/ is the same for every architecture: it is built once, on the builder's own.
FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# The packages' own install scripts build native addons; dist/ takes netlink's prebuilt ones.
RUN npm ci --ignore-scripts --no-fund --no-audit
COPY bin bin
COPY src src
COPY scripts/build.mjs scripts/build.mjs
RUN node scripts/build.mjs

FROM node:24-bookworm-slim AS node

# Node alone comes along: no npm, no compiler.
FROM debian:bookworm-slim
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    ca-certificates conntrack ipset iptables ipvsadm kmod libatomic1 libstdc++6 nftables util-linux \
  && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /src/dist /opt/vipwire
COPY LICENSE /opt/vipwire/
# kOps starts kube-proxy by it.
COPY scripts/go-runner /go-runner
RUN ln -s /opt/vipwire/vipwire.cjs /usr/local/bin/vipwire \
  && ln -s vipwire /usr/local/bin/kube-proxy \
  && kube-proxy --version
LABEL org.opencontainers.image.title="vipwire" \
  org.opencontainers.image.description="A Linux service proxy for Kubernetes, in the place of kube-proxy" \
  org.opencontainers.image.licenses="Apache-2.0"
# root, with CAP_NET_ADMIN and CAP_NET_RAW in the node's network namespace: see manifests/base/daemonset.yaml.
ENTRYPOINT ["/usr/local/bin/vipwire"]
