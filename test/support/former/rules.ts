/** What versions of kube-proxy that are no longer supported left behind, and vipwire never wrote. */
import { readdirSync, readFileSync } from 'node:fs';

export const formerRules: readonly string[] = readdirSync(__dirname).filter((file) => file.endsWith('.rules'));

export function readFormer(file: string): string {
  return readFileSync(`${__dirname}/${file}`, 'utf8');
}

/** The kubelet's, which the recorded node had beside it. */
export const kubeletChain = /^:KUBE-KUBELET-CANARY .*\n/gm;
