//! The layers of a provider: what a variant changes, the block itself, its profile, its model class; upper ones win.
//!
//! Key by key: a layer either has a key as a whole or leaves it to those below. Faults alone add up.

use toml::Spanned;

use super::{Context, Resolved};
use crate::file::{FaultBlock, ProviderBlock};
use crate::profiles;

/// A block, and who answers for mistakes in it.
struct Layer<'a> {
    context: Context<'a>,
    block: ProviderBlock,
}

/// Never empty.
pub(super) struct Layers<'a>(Vec<Layer<'a>>);

impl<'a> Layers<'a> {
    pub(super) fn of(context: &Context<'a>, patch: &ProviderBlock, base: &ProviderBlock) -> Resolved<Self> {
        let own = [patch, base].map(|block| Layer {
            context: context.clone(),
            block: block.clone(),
        });
        let mut layers = Self(own.into());
        let (profiles, classes): (Vec<_>, Vec<_>) =
            (profiles::profiles().collect(), profiles::model_classes().collect());
        layers.add("profile", |block| block.profile.as_ref(), &profiles)?;
        layers.add("model_class", |block| block.model_class.as_ref(), &classes)?;
        Ok(layers)
    }

    /// Lays the bundled block that `key` names under the others.
    fn add(
        &mut self,
        what: &str,
        key: fn(&ProviderBlock) -> Option<&Spanned<String>>,
        known: &[(&str, &str)],
    ) -> Resolved<()> {
        let Some((context, name)) = self.pick(key) else {
            return Ok(());
        };
        let Some((_, text)) = known.iter().find(|(known, _)| known == name.get_ref()) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return context.fail(
                name.span(),
                format!("there is no {what} `{}`", name.get_ref()),
                format!("write one of: {}", names.join(", ")),
            );
        };
        let context = context.blaming(name.span(), format!("{what} `{}`", name.get_ref()));
        match toml::from_str(text) {
            Ok(block) => self.0.push(Layer { context, block }),
            Err(error) => return context.fail(0..0, error.message(), "this is a defect of Brownout: please report it"),
        }
        Ok(())
    }

    /// The uppermost value of a key, and who answers for it.
    pub(super) fn pick<T>(&self, key: fn(&ProviderBlock) -> Option<&T>) -> Option<(&Context<'a>, &T)> {
        self.0
            .iter()
            .find_map(|layer| Some((&layer.context, key(&layer.block)?)))
    }

    /// The faults of the block (or those its variant has instead), then those of the profile.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&Context<'a>, &Spanned<FaultBlock>)> {
        let (own, bundled) = self.0.split_at(2);
        let own = own.iter().find(|layer| layer.block.fault.is_some());
        own.into_iter().chain(bundled).flat_map(|layer| {
            let faults = layer.block.fault.iter().flatten();
            faults.map(|fault| (&layer.context, fault))
        })
    }
}
