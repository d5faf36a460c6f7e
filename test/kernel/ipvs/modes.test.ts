import { describeModes } from '../../support/describe-modes';
import { describeWithIpvs } from '../../support/ipvs-kernel';

// In the guest a round takes seconds.
describeWithIpvs('every mode that needs a kernel with IPVS', () => describeModes('guest', '1', '12', '8'));
