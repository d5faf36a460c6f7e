import { controlMessages, headerBytes } from './netlink';

/** Tells the sequence number and errno of every answer in a datagram: 0 for an ack, else a negative errno. Skips other messages. */
export function readAnswers(datagram: Buffer, take: (sequence: number, errno: number) => void): void {
  for (let at = 0; at + headerBytes + 4 <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < headerBytes || at + length > datagram.length) return;
    if (datagram.readUInt16LE(at + 4) === controlMessages.error)
      take(datagram.readUInt32LE(at + 8), datagram.readInt32LE(at + headerBytes));
    at += (length + 3) & ~3;
  }
}
