import { describeModes } from '../../support/describe-modes';
import { describeWithIpvs } from '../../support/ipvs-kernel';

// In the guest a round costs seconds.
describeWithIpvs('every mode that needs a kernel with IPVS', () => describeModes('guest', '1', '12', '8'));
