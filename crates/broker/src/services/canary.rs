//! `CanaryService`: whether the tokens of one partner's node meet those of the others. No person is looked up.

use hitmachine_core::canary::CanaryState;
use hitmachine_core::{Covenant, CovenantVersion, PartnerId};
use hitmachine_proto::v1;
use hitmachine_proto::v1::canary_service_server::CanaryService;
use hitmachine_pseudonym::{KeyEpoch, Token};
use tonic::{Request, Response, Status};

use super::Shared;

/// The code of the alarm.
const MISSED: &str = "canary_miss";

#[tonic::async_trait]
impl CanaryService for Shared {
    async fn check(
        &self,
        request: Request<v1::CanaryRequest>,
    ) -> Result<Response<v1::CanaryResponse>, Status> {
        let partner = self.partner(&request)?;
        // Until the log is confirmed no alarm can be logged.
        self.hub()?;
        let covenant = self.rules.covenant();
        let asked = Asked::parse(&request.into_inner(), &covenant)?;
        let Some(epoch) = self.registers.in_use(asked.epoch) else {
            let text = "wrong_epoch: canaries are not looked for in this key epoch";
            return Err(Status::failed_precondition(text));
        };
        let states = epoch.check_canaries(&covenant, &partner, &asked.own, &asked.others);
        for ((other, _), _) in asked
            .others
            .iter()
            .zip(&states)
            .filter(|(_, state)| **state == CanaryState::Missed)
        {
            tracing::warn!(by = %partner, about = %other, epoch = %asked.epoch, "a canary was missed");
            self.alarms.raise(MISSED, other.as_str());
        }
        let states = states.into_iter().map(|state| wire(state).into()).collect();
        Ok(Response::new(v1::CanaryResponse { states }))
    }
}

/// A request that is well-formed.
struct Asked {
    epoch: KeyEpoch,
    own: Token,
    others: Vec<(PartnerId, Token)>,
}

impl Asked {
    fn parse(request: &v1::CanaryRequest, covenant: &Covenant) -> Result<Self, Status> {
        let malformed = |field: &str| Status::invalid_argument(format!("{field}: not well-formed"));
        let version = <[u8; 32]>::try_from(request.covenant_version.as_slice());
        let version = version.map_err(|_| malformed("covenant_version"))?;
        if covenant.version() != CovenantVersion(version) {
            let text = "covenant_changed: the partners are those of another covenant";
            return Err(Status::failed_precondition(text));
        }
        if request.others.len() > covenant.partners().len() {
            return Err(malformed("others"));
        }
        let token = |bytes: &[u8], field| Token::try_from(bytes).map_err(|_| malformed(field));
        let others = request.others.iter().map(|other| {
            let partner = other.partner.parse().map_err(|_| malformed("others.partner"))?;
            Ok((partner, token(&other.token, "others.token")?))
        });
        Ok(Self {
            epoch: KeyEpoch::new(request.key_epoch).ok_or_else(|| malformed("key_epoch"))?,
            own: token(&request.own, "own")?,
            others: others.collect::<Result<_, Status>>()?,
        })
    }
}

fn wire(state: CanaryState) -> v1::CanaryState {
    match state {
        CanaryState::Met => v1::CanaryState::Met,
        CanaryState::Missed => v1::CanaryState::Missed,
        CanaryState::NotThereYet => v1::CanaryState::NotThereYet,
    }
}
