import { type Cidr, parseCidr } from '../model/address';

/** Leaves out what is not a CIDR, after a warning. @param what the field, for the warning. */
export function parseCidrs(texts: readonly string[], what: string, warn: (message: string) => void): Cidr[] {
  return texts.flatMap((text) => {
    const cidr = parseCidr(text.trim());
    if (cidr === undefined) warn(`${what}: "${text}" is not a CIDR and is ignored`);
    return cidr ?? [];
  });
}
