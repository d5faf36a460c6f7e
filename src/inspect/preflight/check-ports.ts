/** Checks which ports of the cluster's Services something on this node uses too. */
import type { OpenSocket } from '../../host/sockets';
import { type Finding, ok, warn } from '../../machine/finding';
import { joinHostPort } from '../../model/address';
import type { Service } from '../../model/cluster';
import { some } from './report';

/** The first and the last port. */
export type PortRange = readonly [number, number];

/** Parses ip_local_port_range (`32768	60999`) and ip_local_reserved_ports (`30000-32767,8080`). */
export function parsePortRanges(text: string): PortRange[] {
  const parts = /^\d+\s+\d+$/.test(text) ? [text.replace(/\s+/, '-')] : text.split(',');
  return parts.flatMap((part) => {
    const [first = Number.NaN, last = first] = part
      .split('-')
      .map((number) => (number === '' ? Number.NaN : Number(number)));
    return Number.isNaN(first) ? [] : [[first, last] as const];
  });
}

function within(port: number, ranges: readonly PortRange[]): boolean {
  return ranges.some(([first, last]) => port >= first && port <= last);
}

interface ClusterPort {
  readonly protocol: string;
  readonly port: number;
  /** `shop/web 30080/TCP`. */
  readonly text: string;
}

function portsOf(services: readonly Service[], isOfHealth: boolean): ClusterPort[] {
  return services
    .flatMap(({ namespace, name, ports, healthCheckNodePort }) => {
      const numbers = isOfHealth
        ? [{ protocol: 'TCP', port: healthCheckNodePort }]
        : ports.map(({ protocol, nodePort }) => ({ protocol, port: nodePort }));
      return numbers.map(({ protocol, port }) => ({
        protocol,
        port,
        text: `${namespace}/${name} ${port}/${protocol}`,
      }));
    })
    .filter(({ port }) => port > 0);
}

export interface PortFacts {
  readonly services: readonly Service[];
  readonly sockets: readonly OpenSocket[];
  readonly ephemeral: readonly PortRange[];
  readonly reserved: readonly PortRange[];
  /** Another proxy runs, and uses the health check ports. */
  readonly isProxied: boolean;
}

export function checkPorts(facts: PortFacts): Finding[] {
  const nodePorts = portsOf(facts.services, false);
  return [checkListeners(nodePorts, facts), checkEphemeral(nodePorts, facts), ...checkHealthPorts(facts)];
}

function holderOf({ protocol, port }: ClusterPort, sockets: readonly OpenSocket[]): OpenSocket | undefined {
  return sockets.find((socket) => socket.protocol === protocol && socket.port === port);
}

function checkListeners(nodePorts: readonly ClusterPort[], { sockets }: PortFacts): Finding {
  const taken = nodePorts.flatMap((nodePort) => {
    const socket = holderOf(nodePort, sockets);
    return socket === undefined ? [] : `${nodePort.text} (a socket on ${joinHostPort(socket.address, socket.port)})`;
  });
  if (taken.length === 0) return ok('NodePorts', `${nodePorts.length}, and no socket of this node on any of them`);
  return warn(
    'NodePorts',
    `also taken by sockets of this node: ${some(taken)}`,
    'those sockets cannot be reached from outside; to see whose they are: ss -ltunp',
  );
}

function checkEphemeral(nodePorts: readonly ClusterPort[], { ephemeral, reserved }: PortFacts): Finding {
  const shown = ephemeral.map((range) => range.join('-')).join();
  const inside = nodePorts.filter(({ port }) => within(port, ephemeral) && !within(port, reserved));
  if (inside.length === 0) return ok('ephemeral ports', `${shown}, and no NodePort among them`);
  return warn(
    'ephemeral ports',
    `${shown} has NodePorts in it: ${some(inside.map(({ text }) => text))}`,
    "a connection of the node's own may take such a port; to prevent that: sysctl -w net.ipv4.ip_local_reserved_ports=30000-32767",
  );
}

function checkHealthPorts({ services, sockets, isProxied }: PortFacts): Finding[] {
  if (isProxied) return [];
  const taken = portsOf(services, true).filter((port) => holderOf(port, sockets) !== undefined);
  if (taken.length === 0) return [];
  return [
    warn(
      'health check ports',
      `taken: ${some(taken.map(({ text }) => text))}`,
      'load balancers would reach another program there',
    ),
  ];
}
