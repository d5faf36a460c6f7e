import { modulesFor } from '../../src/cli/init-node';
import { completeConfiguration } from '../../src/config/complete';

test.each([
  [{}, ['nf_conntrack', 'nf_tables', 'nft_compat']],
  [
    { detectLocalMode: 'BridgeInterface', 'detectLocal.bridgeInterface': 'cni0' },
    ['nf_conntrack', 'nf_tables', 'nft_compat', 'br_netfilter'],
  ],
  [
    { mode: 'ipvs', 'ipvs.scheduler': 'mh,mh-fallback' },
    ['nf_conntrack', 'nf_tables', 'nft_compat', 'ip_vs', 'ip_vs_mh', 'ip_set', 'xt_set', 'dummy'],
  ],
])('modules for %j', (settings, modules) => {
  expect(modulesFor(completeConfiguration(settings).configuration)).toEqual(modules);
});
