import { describeModes } from '../support/describe-modes';
import { describeAsRoot } from '../support/network-namespace';

describeAsRoot('every mode that this kernel has', () => describeModes('host'));
