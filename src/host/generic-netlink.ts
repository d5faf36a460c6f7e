/** Families of generic netlink. A family gets its number when its module registers it. */
import type { NetlinkSocket } from './netlink';
import { encodeAttribute, findAttribute } from './netlink-attributes';

/** linux/genetlink.h: GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_. */
const control = { type: 0x10, getFamily: 3, version: 1 } as const;
const attribute = { familyId: 1, familyName: 2 } as const;
const headerBytes = 4;

/** Returns the message type of the family. Throws NetlinkError, with ENOENT where the kernel has no family of that name. */
export async function readGenericFamily(socket: NetlinkSocket, name: string): Promise<number> {
  const request = Buffer.concat([
    Buffer.from([control.getFamily, control.version, 0, 0]),
    encodeAttribute(attribute.familyName, Buffer.from(`${name}\0`, 'latin1')),
  ]);
  const [answer] = await socket.request(control.type, 0, request);
  const at =
    answer === undefined ? -1 : findAttribute(answer.payload, headerBytes, answer.payload.length, attribute.familyId);
  if (answer === undefined || at < 0) throw new TypeError(`generic netlink gave no number for the family ${name}`);
  return answer.payload.readUInt16LE(at);
}
