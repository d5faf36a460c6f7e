/** What carries the ports of Services, by its names and by IANA's numbers. */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';
/** As the kernel's tools write it. */
export type ProtocolName = 'tcp' | 'udp' | 'sctp';

export const protocolNumbers: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

const names: Readonly<Record<Protocol, ProtocolName>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };
const namesOfNumbers: ReadonlyMap<number, ProtocolName> = new Map([
  [protocolNumbers.TCP, 'tcp'],
  [protocolNumbers.UDP, 'udp'],
  [protocolNumbers.SCTP, 'sctp'],
]);

export function protocolName(protocol: Protocol): ProtocolName {
  return names[protocol];
}

/** Returns undefined for protocols that no Service has. */
export function protocolNameOf(number: number): ProtocolName | undefined {
  return namesOfNumbers.get(number);
}
